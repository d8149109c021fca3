// The worker of the engine. Anything but a string that it sends says that it failed.
import init, { start_engine, tell_engine } from './lapidary.js';

const fail = (event) => {
    // Otherwise the page would be told a second time, of a worker that did not start.
    event.preventDefault();
    console.error(event.reason ?? event.error ?? event);
    postMessage(null);
};
addEventListener('error', fail);
addEventListener('unhandledrejection', fail);

// Messages that come before the engine is there wait for it.
let early = [];
onmessage = (event) => early.push(event.data);
const { memory } = await init({ module_or_path: 'lapidary_bg.wasm' });
// For programs that test the page.
globalThis.memory = memory;
start_engine();
early.forEach((data) => tell_engine(data));
onmessage = (event) => tell_engine(event.data);
