// The page's side of the engine, which runs in a worker. index.d.ts documents what is exported.
import { LapidaryError, reason, shown } from './errors.js';

export { LapidaryError };

export class Engine {
    #worker;

    constructor(worker, info) {
        this.#worker = worker;
        this.info = info;
    }

    static async load(source, given) {
        const { onProgress, signal, ...options } = toObject(given);
        const list = Array.isArray(source) ? source : [source];
        if (list.length === 0) throw new LapidaryError('bad_argument', 'the source is an empty array');
        const load = { sources: list.map(toSend), options: toJson(options) };
        const worker = new EngineWorker(onProgress);
        return new Engine(worker, await worker.first({ load }, signal));
    }

    chat(messages, options) {
        return this.#reply({ messages }, Array.isArray(messages) ? null : 'messages must be an array', options);
    }

    generate(prompt, options) {
        return this.#reply({ prompt }, typeof prompt === 'string' ? null : 'the prompt must be a string', options);
    }

    dispose() {
        this.#worker.end(new LapidaryError('disposed', 'the engine was disposed of; load the model again'));
    }

    async *#reply(input, wrong, given) {
        if (wrong) throw new LapidaryError('bad_argument', wrong);
        const { signal, stop, ...options } = toObject(given);
        checkSignal(signal);
        const both = ['messages', 'prompt'].find((name) => options[name] !== undefined);
        if (both) throw new LapidaryError('bad_argument', `${both} is no option: it is the first argument of ${both === 'prompt' ? 'generate' : 'chat'}`);
        const request = toJson({ ...options, ...input, stop: typeof stop === 'string' ? [stop] : (stop ?? undefined) });
        let waiting = [];
        let wake = () => {};
        const take = (message) => {
            waiting.push(message);
            wake();
        };
        const id = this.#worker.send({ request }, take);
        const abort = () => {
            waiting = [];
            take({ error: aborted(signal) });
        };
        signal?.addEventListener('abort', abort);
        let isOver = false;
        try {
            while (!isOver) {
                if (waiting.length === 0) await new Promise((resolve) => (wake = resolve));
                const { error, piece, end } = waiting.shift();
                if (error) throw error;
                isOver = Boolean(end);
                yield { ...piece, ...end };
            }
        } finally {
            signal?.removeEventListener('abort', abort);
            this.#worker.forget(id);
            if (!isOver) this.#worker.post({ cancel: id });
        }
    }
}

export async function check(given) {
    const { onProgress, signal, ...options } = toObject(given);
    const sent = { check: { options: toJson(options) } };
    const worker = new EngineWorker(onProgress);
    const report = await worker.first(sent, signal);
    worker.end(new LapidaryError('disposed', 'the check is over'));
    return report;
}

// The worker, and who gets what it sends.
class EngineWorker {
    #worker;
    #onProgress;
    // By the number of what they asked for.
    #listeners = new Map();
    #last = 0;
    // Why it ended.
    #ended = null;

    constructor(onProgress) {
        if (onProgress != null && typeof onProgress !== 'function') {
            throw new LapidaryError('bad_argument', 'onProgress must be a function');
        }
        this.#onProgress = onProgress;
        try {
            this.#worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
        } catch (error) {
            throw new LapidaryError('internal', `the worker does not start: ${reason(error)}; serve the package from the origin of the page`);
        }
        this.#worker.onmessage = ({ data }) => this.#take(typeof data === 'string' ? JSON.parse(data) : data);
        this.#worker.onerror = (event) => {
            const why = event.message || 'worker.js and the files beside it have to be served beside index.js, as scripts of modules';
            this.end(new LapidaryError('internal', `the worker failed: ${why}`));
        };
    }

    // Sends the first message, and gives its answer. Without one, the worker is ended.
    async first(message, signal) {
        const abort = () => this.end(aborted(signal));
        try {
            checkSignal(signal);
            signal?.addEventListener('abort', abort);
            return await new Promise((resolve, reject) => {
                this.send(message, ({ error, value }) => (error ? reject(error) : resolve(value)));
            });
        } catch (error) {
            this.end(error);
            throw error;
        } finally {
            signal?.removeEventListener('abort', abort);
        }
    }

    // Sends a message. The listener gets all that answers it.
    send(message, listener) {
        if (this.#ended) throw this.#ended;
        const id = ++this.#last;
        try {
            this.#worker.postMessage({ id, ...message });
        } catch (error) {
            throw new LapidaryError('bad_argument', `an argument cannot be sent to the worker (${reason(error)}); give a URL, a File or Blob, or a FileSystemFileHandle`);
        }
        this.#listeners.set(id, listener);
        return id;
    }

    // Sends a message without an answer.
    post(message) {
        if (!this.#ended) this.#worker.postMessage(message);
    }

    // Drops a listener.
    forget(id) {
        this.#listeners.delete(id);
    }

    // Ends the worker. Whoever waits gets the error.
    end(error) {
        if (this.#ended) return;
        this.#ended = error;
        this.#worker.terminate();
        const listeners = [...this.#listeners.values()];
        this.#listeners.clear();
        listeners.forEach((listener) => listener({ error }));
    }

    #take({ id, progress, ended, error, ...answer }) {
        if (this.#ended) return;
        if (ended) {
            this.end(new LapidaryError('internal', `${ended}; load the model again`));
        } else if (progress) {
            try {
                this.#onProgress?.(progress);
            } catch (thrown) {
                // The caller's own error, which ends nothing here.
                reportError(thrown);
            }
        } else {
            const { code, message, status } = error ?? {};
            const failure = error && Object.assign(new LapidaryError(code, message), status === undefined ? {} : { status });
            this.#listeners.get(id)?.({ error: failure, ...answer });
        }
    }
}

// The options of a call.
function toObject(options) {
    if (options === undefined) return {};
    if (typeof options !== 'object' || options === null) throw new LapidaryError('bad_argument', 'the options must be an object');
    return options;
}

// A source as the worker gets it.
function toSend(source) {
    if (source instanceof Blob || (source?.kind === 'file' && typeof source.getFile === 'function')) return source;
    if (typeof source !== 'string' && !(source instanceof URL)) {
        throw new LapidaryError('bad_argument', 'a source must be a URL, a File or Blob, or a FileSystemFileHandle');
    }
    try {
        return new URL(source, globalThis.document?.baseURI ?? location.href).href;
    } catch {
        throw new LapidaryError('bad_argument', `${shown(source)} is no URL`);
    }
}

// Options as JSON, which has no other numbers than finite ones: the engine refuses their names. Texts of the engine are Unicode, so
// a half of a surrogate pair becomes U+FFFD.
function toJson(options) {
    const plain = (_, value) => {
        if (typeof value === 'string') return value.toWellFormed();
        return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
    };
    try {
        return JSON.stringify(options, plain);
    } catch (error) {
        throw new LapidaryError('bad_argument', `the options cannot be sent: ${reason(error)}`);
    }
}

const aborted = (signal) => new LapidaryError('aborted', 'the signal ended it', { cause: signal.reason });

function checkSignal(signal) {
    if (signal != null && !(signal instanceof AbortSignal)) throw new LapidaryError('bad_argument', 'signal must be an AbortSignal');
    if (signal?.aborted) throw aborted(signal);
}
