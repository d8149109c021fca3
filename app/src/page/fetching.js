// Answers of the hub, piece by piece.

// A connection on which nothing comes for so long is given up, in milliseconds.
const STALL = 30_000;

async function inTime(promise) {
    let timer;
    const stalled = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing came for ${STALL / 1000} seconds`)), STALL);
    });
    try {
        return await Promise.race([promise, stalled]);
    } finally {
        clearTimeout(timer);
    }
}

// Ends everything that waits for the network.
export class Stop {
    constructor() {
        this.controller = new AbortController();
    }
    stop() {
        this.controller.abort();
    }
    stopped() {
        return this.controller.signal.aborted;
    }
    // Waits some milliseconds, or until it is stopped.
    wait(milliseconds) {
        const { signal } = this.controller;
        return new Promise((resolve) => {
            const done = () => {
                clearTimeout(timer);
                signal.removeEventListener('abort', done);
                resolve();
            };
            const timer = setTimeout(done, signal.aborted ? 0 : milliseconds);
            signal.addEventListener('abort', done);
        });
    }
}

export class Answer {
    // Asks for an address, from a byte on. The browser follows redirects.
    static async ask(address, from, stop) {
        const headers = from > 0 ? { Range: `bytes=${from}-` } : {};
        // The browser's cache would keep the file a second time.
        const options = { headers, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' };
        const request = new AbortController();
        const abort = () => request.abort();
        stop.controller.signal.addEventListener('abort', abort, { once: true });
        if (stop.controller.signal.aborted) abort();
        try {
            const answer = new Answer();
            answer.response = await inTime(fetch(address, { ...options, signal: request.signal }));
            answer.reader = answer.response.body?.getReader();
            answer.end = () => {
                stop.controller.signal.removeEventListener('abort', abort);
                abort();
            };
            return answer;
        } catch (error) {
            abort();
            throw error;
        }
    }
    status() {
        return this.response.status;
    }
    // A header's value; undefined where the server sends none or does not let the page see it.
    header(name) {
        return this.response.headers.get(name) ?? undefined;
    }
    // The next bytes; undefined at the end.
    async next() {
        return this.reader && (await inTime(this.reader.read())).value;
    }
    // Closes the connection.
    close() {
        this.end();
    }
}
