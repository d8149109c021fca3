// The worker of the engine.
import { start_engine, tell_engine } from './lapidary.js';
import { run } from './worker.js';

await run(tell_engine, start_engine);
