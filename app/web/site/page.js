// Starts the window of the page, or says in a sentence why it cannot.
import init, { leave_page, open_window, window_controls, window_state } from './lapidary.js';

const message = document.querySelector('#message');
const say = (text) => {
    message.textContent = text;
    message.hidden = false;
};

// Why the page cannot run in this browser; nothing if it can.
async function problem() {
    const lacks = 'Lapidary needs WebGPU, which this browser does not have or does not turn on. Current versions of Chrome, Edge, Safari and Firefox have it.';
    if (!navigator.gpu) {
        return window.isSecureContext
            ? lacks
            : 'Browsers offer WebGPU only to pages that came over https or from this machine. Open this page with https.';
    }
    let adapter;
    try {
        adapter = await navigator.gpu.requestAdapter();
    } catch (error) {
        // Firefox has the interface also where it was built without what is behind it.
        console.warn(error);
        return lacks;
    }
    if (!adapter) {
        return 'The browser has WebGPU but offers no graphics adapter. Update the graphics driver, or see whether the browser has hardware acceleration turned off.';
    }
}

// Waits until no other tab has the chats open: two windows on one database would overwrite each other's drafts.
function onlyTab() {
    return new Promise((resolve) => {
        const hold = () => {
            resolve();
            // Held until the tab is closed.
            return new Promise(() => {});
        };
        // A browser that keeps nothing for the page refuses locks too, and then there are no chats to overwrite.
        const request = (...how) => navigator.locks.request('lapidary', ...how).catch(resolve);
        request({ ifAvailable: true }, (lock) => {
            if (lock) return hold();
            say('Lapidary is open in another tab. Close it there, and this one goes on.');
            request(hold);
        });
    });
}

try {
    const reason = await problem();
    if (reason) {
        say(reason);
    } else {
        await Promise.all([init({ module_or_path: 'lapidary_bg.wasm' }), onlyTab()]);
        await open_window(document.querySelector('#window'));
        message.hidden = true;
        // A hidden page has no frames and may never be shown again.
        document.addEventListener('visibilitychange', () => document.hidden && leave_page());
        addEventListener('pagehide', () => leave_page());
        addEventListener('beforeunload', (event) => leave_page() && event.preventDefault());
        // The window does not draw after an internal error.
        addEventListener('error', ({ error }) => {
            if (error instanceof WebAssembly.RuntimeError) say('Lapidary stopped after an internal error. Reload the page to go on.');
        });
        // Asks the browser not to delete chats and models when the disk fills up.
        navigator.storage?.persist?.();
        // Keeps the page for times without a network. Without it the page works as well.
        navigator.serviceWorker?.register('offline.js').catch((error) => console.warn(error));
        // For programs that test the page, which cannot read a canvas. They may also set globalThis.lapidaryHub before the page starts:
        // the address of the hub that models come from.
        window.lapidary = {
            get state() {
                return JSON.parse(window_state());
            },
            get controls() {
                return JSON.parse(window_controls());
            },
        };
    }
} catch (error) {
    console.error(error);
    say(`Lapidary cannot start: ${String(error?.message ?? error).replace(/\.$/, '')}. Reload the page to try again.`);
}
