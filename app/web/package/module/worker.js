// The worker of the engine. It gets one message that names what to do first, `load` or `check`, and after a load any number that ask
// for replies or cancel them. It sends objects; the engine itself sends JSON.
import init, { start, load, check } from './lapidary.js';
import { LapidaryError, reason } from './errors.js';
import { open } from './sources.js';

// What happens outside of a request is the end: it is the engine that failed.
const fail = (event) => {
    event.preventDefault();
    postMessage({ ended: `the engine failed because of an internal error: ${reason(event.reason ?? event.error ?? event)}` });
};
addEventListener('error', fail);
addEventListener('unhandledrejection', fail);

let model;

onmessage = ({ data }) => {
    if (data.load) answer(data.id, () => loadModel(data.load));
    else if (data.check) answer(data.id, () => checkGpu(data.check));
    else if (data.request) model.reply(data.id, data.request);
    else if (data.cancel) model.cancel(data.cancel);
};

// Answers with what a function gives, or with its error.
async function answer(id, work) {
    try {
        postMessage({ id, value: await work() });
    } catch (error) {
        postMessage({ id, error: plain(error) });
    }
}

// An error as it can be sent. The engine throws JSON.
function plain(error) {
    if (typeof error === 'string') return JSON.parse(error);
    if (error instanceof LapidaryError) return { code: error.code, message: error.message, status: error.status };
    return { code: 'internal', message: reason(error) };
}

// The browser's GPU.
async function findGpu() {
    if (!navigator.gpu) {
        const how = isSecureContext ? 'use a browser that has it, such as a new Chrome, Edge, Firefox or Safari' : 'serve the page over https or from localhost';
        throw new LapidaryError('no_webgpu', `WebGPU is not there; ${how}`);
    }
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) throw new LapidaryError('no_webgpu', 'WebGPU finds no GPU that it may use; chrome://gpu or about:support says why');
    const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
    return { vendor, architecture, device, description, isFallbackAdapter };
}

// The instance of the engine.
async function begin() {
    const gpu = await findGpu();
    try {
        const { memory } = await init({ module_or_path: new URL('./lapidary_bg.wasm', import.meta.url) });
        // For programs that test the package.
        globalThis.memory = memory;
    } catch (error) {
        throw new LapidaryError('internal', `the engine does not start: ${reason(error)}; lapidary_bg.wasm has to be served beside worker.js`);
    }
    start();
    return gpu;
}

async function loadModel({ sources, options }) {
    const gpu = await begin();
    const { folder, files } = await open(sources, (progress) => postMessage({ progress }));
    // The error of a file that could not be read, which the engine does not pass on.
    let failure;
    const known = files.map((file) => ({
        ...file,
        read: async (start, end) => {
            try {
                return await file.read(start, end);
            } catch (error) {
                failure = error;
                throw error;
            }
        },
    }));
    try {
        model = await load(folder, known, options);
    } catch (error) {
        throw failure ?? error;
    }
    return { ...JSON.parse(model.info()), gpu };
}

async function checkGpu({ options }) {
    const gpu = await begin();
    return { ...JSON.parse(await check(options)), gpu };
}
