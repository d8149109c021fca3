// The worker of the downloads. Anything but a string that it sends says that it failed.
import init, { tell_downloads } from './lapidary.js';

const fail = (event) => {
    // Otherwise the page would be told a second time, of a worker that did not start.
    event.preventDefault();
    console.error(event.reason ?? event.error ?? event);
    postMessage(null);
};
addEventListener('error', fail);
addEventListener('unhandledrejection', fail);

// Messages that come before the worker is ready wait for it.
let early = [];
onmessage = (event) => early.push(event.data);
await init({ module_or_path: 'lapidary_bg.wasm' });
early.forEach((data) => tell_downloads(data));
onmessage = (event) => tell_downloads(event.data);
