// The worker of the downloads.
import init, { tell_downloads } from './lapidary.js';
import { run } from './worker.js';

await run(() => init({ module_or_path: 'lapidary_bg.wasm' }), tell_downloads);
