// What the workers of the page share. Anything but a string that a worker sends says that it failed: `false` before its program ran.
let runs = false;

const fail = (event) => {
    // Otherwise the page would be told a second time, of a worker that did not start.
    event.preventDefault();
    console.error(event.reason ?? event.error ?? event);
    postMessage(runs ? null : false);
};

// Starts a program in this worker by `init`, and then calls `start`. `tell` gets each message; those that come before wait.
export async function run(init, tell, start = () => {}) {
    addEventListener('error', fail);
    addEventListener('unhandledrejection', fail);
    const early = [];
    onmessage = (event) => early.push(event.data);
    const { memory } = await init();
    // For programs that test the page.
    globalThis.memory = memory;
    runs = true;
    start();
    early.forEach((data) => tell(data));
    onmessage = (event) => tell(event.data);
}
