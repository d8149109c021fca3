// The worker of the engine.
import init, { start_engine, tell_engine } from './lapidary.js';
import { run } from './worker.js';

await run(() => init({ module_or_path: 'lapidary_bg.wasm' }), tell_engine, start_engine);
