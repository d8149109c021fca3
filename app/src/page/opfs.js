// The models in the browser's own file system for this page: `models/OWNER/REPOSITORY/FILE.gguf`, where FILE may have folders, with
// `FILE.gguf.json`, which says what was asked for and how the file must be. What is not complete is `FILE.gguf.part`, with
// `FILE.gguf.part.json`; an older `FILE.gguf` may lie beside it. Paths here are those below `models`.

const NOTICE = 'GEMMA_NOTICE.txt';

async function folderOf(names, create = false) {
    let folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('models', { create: true });
    for (const name of names) folder = await folder.getDirectoryHandle(name, { create });
    return folder;
}

// The folder of a path, and the name in it.
async function place(path, create = false) {
    const names = path.split('/');
    const name = names.pop();
    return [await folderOf(names, create), name];
}

const absent = (error) => {
    if (error.name !== 'NotFoundError') throw error;
    return null;
};
const fileOf = (folder, name) => folder.getFileHandle(name).then((handle) => handle.getFile()).catch(absent);

// What was asked for. If the record is damaged or missing, that is the name of the file on the hub.
async function askedFor(folder, file, path) {
    try {
        const { name } = JSON.parse(await (await fileOf(folder, `${file}.json`)).text());
        if (typeof name === 'string') return name;
    } catch {
        // The part or the model is here without it.
    }
    const [owner, repository, ...rest] = path.split('/');
    return `${owner}/${repository}:${rest.join('/')}`;
}

async function* models(folder, path) {
    for await (const [name, handle] of folder.entries()) {
        if (handle.kind === 'directory') yield* models(handle, [...path, name]);
        else if (name.endsWith('.gguf')) yield [[...path, name].join('/'), folder, name, true];
        else if (name.endsWith('.gguf.part')) yield [[...path, name.slice(0, -5)].join('/'), folder, name, false];
    }
}

// All models: per one its path, what was asked for, and its file; null for the file of one that is not complete. A path is there twice
// while a new version of a model is not complete.
export async function list() {
    const found = [];
    for await (const [path, folder, file, complete] of models(await folderOf([]), [])) {
        found.push([path, await askedFor(folder, file, path), complete ? await fileOf(folder, file) : null]);
    }
    return found;
}

// The record of a model or of a part as text; null if there is none.
export async function recordOf(path) {
    try {
        const [folder, name] = await place(path);
        return (await (await fileOf(folder, `${name}.json`))?.text()) ?? null;
    } catch (error) {
        return absent(error);
    }
}

// Bytes of a model that is complete; null if it is not.
export async function sizeOf(path) {
    try {
        const [folder, name] = await place(path);
        return (await fileOf(folder, name))?.size ?? null;
    } catch (error) {
        return absent(error);
    }
}

// Deletes a model that is complete, or else a part of one, whose path ends in `.part`; and the folders that are empty then.
export async function remove(path) {
    const [folder, file] = await place(path);
    for (const name of [file, `${file}.json`]) await folder.removeEntry(name).catch(absent);
    const names = path.split('/').slice(0, -1);
    for (; names.length > 0; names.pop()) {
        const left = [];
        for await (const name of (await folderOf(names)).keys()) left.push(name);
        if (left.some((name) => name !== NOTICE)) break;
        await (await folderOf(names.slice(0, -1))).removeEntry(names.at(-1), { recursive: true });
    }
}

// Deletes what came of the downloads by this name. Models that are complete stay.
export async function forget(asked) {
    for (const [path, name, file] of await list()) {
        if (name === asked && !file) await remove(`${path}.part`);
    }
}

// Bytes that the browser still takes for this page; null where it does not tell.
export async function room() {
    const { usage, quota } = await navigator.storage.estimate();
    return quota === undefined ? null : Math.max(0, quota - usage);
}

// Writing is only possible in a worker. A tab that was just closed may still hold the file for a moment.
async function access(handle) {
    if (!handle.createSyncAccessHandle) throw new Error('it cannot write piece by piece; a newer one can');
    for (let left = 20; ; left--) {
        try {
            return await handle.createSyncAccessHandle();
        } catch (error) {
            if (error.name !== 'NoModificationAllowedError') throw error;
            if (left === 0) throw new DOMException('another download writes the same file', 'InUseError');
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
    }
}

function writeAll(file, bytes, at) {
    while (bytes.length > 0) {
        const written = file.write(bytes, { at });
        if (!written) throw new DOMException('the browser takes no more bytes', 'QuotaExceededError');
        bytes = bytes.subarray(written);
        at += written;
    }
}

// Writes a small file beside others as a whole.
export async function writeText(path, text) {
    const [folder, name] = await place(path, true);
    const file = await access(await folder.getFileHandle(name, { create: true }));
    try {
        const bytes = new TextEncoder().encode(text);
        writeAll(file, bytes, 0);
        file.truncate(bytes.length);
        file.flush();
    } finally {
        file.close();
    }
}

// The part of a model that is here. It has to be closed.
export class Part {
    static async open(path) {
        if (!FileSystemFileHandle.prototype.move) throw new Error('it cannot rename them; a newer one can');
        const part = new Part();
        [part.folder, part.name] = await place(path, true);
        part.handle = await part.folder.getFileHandle(`${part.name}.part`, { create: true });
        part.file = await access(part.handle);
        return part;
    }
    size() {
        return this.file.getSize();
    }
    // Reads bytes into an array. Returns how many there were.
    read(bytes, at) {
        return this.file.read(bytes, { at });
    }
    write(bytes, at) {
        writeAll(this.file, bytes, at);
    }
    truncate(size) {
        this.file.truncate(size);
    }
    close() {
        this.file.close();
    }
    // Gives the file, which is complete, its final name, in place of an older one, and then its record.
    async finish() {
        this.file.flush();
        this.file.close();
        const { folder, name } = this;
        const record = await folder.getFileHandle(`${name}.part.json`);
        // If this is cut off, no file must have the record of another.
        await folder.removeEntry(`${name}.json`).catch(absent);
        try {
            await this.handle.move(folder, name);
        } catch (error) {
            // Some browsers move over no other file.
            if (!(await fileOf(folder, name))) throw error;
            await folder.removeEntry(name);
            await this.handle.move(folder, name);
        }
        await record.move(folder, `${name}.json`);
    }
}

// Whether the person accepted the terms at this address; and remembers it.
export const hasAccepted = (terms) => localStorage.getItem('lapidary accepted terms') === terms;
export const accept = (terms) => localStorage.setItem('lapidary accepted terms', terms);
