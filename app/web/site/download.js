// The worker of the downloads.
import { tell_downloads } from './lapidary.js';
import { run } from './worker.js';

await run(tell_downloads);
