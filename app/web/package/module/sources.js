// Opens the files of a model, which the engine reads range by range: objects with a name, a size in bytes, and a function that reads
// the bytes from one position to another.
import { LapidaryError, reason, shown } from './errors.js';

// The first bytes of a file, which the engine reads first.
const START = 8 << 20;
// A server that sends no ranges has to send the file as a whole, which is kept in memory.
const MOST_WHOLE = 512 << 20;
// A request that gets nothing for so long has failed.
const PATIENCE_MS = 30_000;
// Waits before a request that failed is made again.
const RETRIES_MS = [500, 2000];

// The files of a Hugging Face folder that need not be there.
const OPTIONAL = ['generation_config.json', 'tokenizer_config.json', 'chat_template.jinja', 'tokenizer.json'];
const WEIGHTS = 'model.safetensors';

// Opens what `Engine.load` was given, as a list: gives the files, and the name of their folder if they have one. `progress` gets the
// bytes of a file that is downloaded as a whole, and all of its bytes.
export async function open(sources, progress) {
    const files = [];
    let folder = '';
    for (const source of sources) {
        if (typeof source !== 'string') {
            files.push(await openLocal(source));
            continue;
        }
        const { pathname } = new URL(source);
        if (pathname.endsWith('/')) {
            files.push(...(await openFolder(source, progress)));
            // Of the hub's folders `NAME/resolve/REVISION/` too, the name.
            folder = nameOf(pathname.replace(/\/resolve\/[^/]+\/$/, '/').slice(0, -1));
        } else {
            files.push(await openUrl(source, progress));
        }
    }
    const names = files.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) {
        throw new LapidaryError('bad_argument', `several files are named ${twice}; name the parts of a model: use File objects with different names`);
    }
    return { folder, files };
}

// The last part of the path of an address.
function nameOf(pathname) {
    const name = pathname.split('/').at(-1);
    try {
        return decodeURIComponent(name);
    } catch {
        return name;
    }
}

// A file of the disk or of the browser's own file system.
async function openLocal(source) {
    const name = source.name ?? 'model';
    const failed = (error) => new LapidaryError('read', `${name} cannot be read: ${reason(error)}; if it was changed, choose it again`);
    let blob = source;
    if (!(source instanceof Blob)) {
        try {
            blob = await source.getFile();
        } catch (error) {
            throw failed(error);
        }
    }
    const read = async (start, end) => {
        try {
            return new Uint8Array(await blob.slice(start, end).arrayBuffer());
        } catch (error) {
            throw failed(error);
        }
    };
    return { name, size: blob.size, read };
}

// The files of a Hugging Face folder.
async function openFolder(folder, progress) {
    const at = (name) => {
        const url = new URL(name, folder);
        // Such as a token, which each of the files needs.
        url.search = new URL(folder).search;
        return openUrl(url.href, progress);
    };
    const optional = async (name) => {
        try {
            return await at(name);
        } catch (error) {
            if (error.status === 404) return null;
            throw error;
        }
    };
    const files = [await at('config.json')];
    for (const name of OPTIONAL) files.push(await optional(name));
    const weights = await optional(WEIGHTS);
    if (weights) {
        files.push(weights);
    } else {
        const index = await at(`${WEIGHTS}.index.json`);
        files.push(index);
        for (const name of await shards(index)) files.push(await at(name));
    }
    return files.filter((file) => file);
}

// The names of the files that an index lists.
async function shards(index) {
    const wrong = (why) => new LapidaryError('bad_model', `${index.name}: ${why}`);
    if (index.size > 32 << 20) throw wrong('it is too large for an index');
    let map;
    try {
        map = JSON.parse(new TextDecoder().decode(await index.read(0, index.size))).weight_map;
    } catch (error) {
        if (error instanceof LapidaryError) throw error;
        throw wrong('it is no JSON');
    }
    const names = [...new Set(Object.values(map ?? {}))];
    if (names.length === 0) throw wrong('it lists no files');
    // Another name could be an address of another server.
    const isPlain = (name) => typeof name === 'string' && name.endsWith('.safetensors') && !/[/\\:?#]/.test(name);
    const other = names.find((name) => !isPlain(name));
    if (other !== undefined) throw wrong(`${JSON.stringify(other).slice(0, 80)} is not the plain name of a .safetensors file in this folder`);
    return names;
}

// A file of a server.
async function openUrl(url, progress) {
    const name = nameOf(new URL(url).pathname) || 'model';
    const first = await get(url, 0, START, (done, total) => progress({ phase: 'download', done, total }));
    const { bytes, size, tag } = first;
    if (bytes.length === size) return { name, size, read: async (start, end) => bytes.subarray(start, end) };
    const read = async (start, end) => {
        if (end <= bytes.length) return bytes.subarray(start, end);
        const next = await get(url, start, end);
        if (next.size !== size || next.tag !== tag) throw new LapidaryError('read', `${shown(url)} was changed while it was loaded; load it again`);
        return next.bytes;
    };
    return { name, size, read };
}

// Gets a range of a file, or the whole where the server sends no ranges, with the file's size and what tells its version. What may
// pass is tried again.
async function get(url, start, end, progress) {
    for (let tries = 0; ; tries++) {
        try {
            return await getOnce(url, start, end, progress);
        } catch (error) {
            if (!error.passes || tries === RETRIES_MS.length) throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRIES_MS[tries]));
    }
}

async function getOnce(url, start, end, progress) {
    const stop = new AbortController();
    let timer;
    const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), PATIENCE_MS);
    };
    wait();
    try {
        const response = await fetch(url, { headers: { Range: `bytes=${start}-${end - 1}` }, signal: stop.signal });
        checkStatus(url, response);
        const tag = response.headers.get('etag');
        if (response.status === 206) {
            const [, first, size] = (/^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? []).map(Number);
            if (!Number.isSafeInteger(size)) {
                throw new LapidaryError('no_ranges', `the server of ${shown(url)} does not tell how large the file is; let it send the header "Access-Control-Expose-Headers: Content-Range, ETag"`);
            }
            if (first !== start) throw new LapidaryError('read', `the server of ${shown(url)} sends another range than it was asked for`);
            return { bytes: await body(url, response, Math.min(end, size) - start, wait), size, tag };
        }
        const length = Number(response.headers.get('content-length') ?? 0);
        if (start > 0 || length > MOST_WHOLE) throw noRanges(url);
        const total = length || null;
        const bytes = await body(url, response, MOST_WHOLE, wait, (done) => progress(done, total));
        return { bytes, size: bytes.length, tag };
    } catch (error) {
        if (error instanceof LapidaryError) throw error;
        const why = stop.signal.aborted ? `the server sent nothing for ${PATIENCE_MS / 1000} seconds` : reason(error);
        throw passing(new LapidaryError('network', `${shown(url)} cannot be read: ${why}; check the connection, and that the server permits this page to read it (CORS)`));
    } finally {
        clearTimeout(timer);
        // Ends a body that is not read to its end.
        stop.abort();
    }
}

function checkStatus(url, { status }) {
    if (status === 200 || status === 206) return;
    const error = new LapidaryError('http', `the server answers ${status} for ${shown(url)}; check the address`);
    error.status = status;
    throw status === 429 || status >= 500 ? passing(error) : error;
}

// An error that may be gone at the next try.
const passing = (error) => Object.assign(error, { passes: true });

const noRanges = (url) =>
    new LapidaryError('no_ranges', `the server of ${shown(url)} sends no ranges of files, and without them at most ${MOST_WHOLE >> 20} MiB are loaded; use a server that does`);

// Reads a body of at most so many bytes.
async function body(url, response, most, wait, progress = () => {}) {
    const chunks = [];
    let length = 0;
    for (const reader = response.body.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        wait();
        length += value.length;
        if (length > most) throw response.status === 206 ? new LapidaryError('read', `the server of ${shown(url)} sends more than it was asked for`) : noRanges(url);
        chunks.push(value);
        progress(length);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
    }
    return bytes;
}
