// The worker that reads what a model or a stranger wrote: formulas, code and PDF files.
import init, { tell_sandbox } from './lapidary_sandbox.js';
import { run } from './worker.js';

await run(() => init({ module_or_path: 'lapidary_sandbox_bg.wasm' }), tell_sandbox);
