// The file of results in a browser: a text in a cache of this origin.

const address = (name) => `https://lapidary.invalid/${name}`;

export async function read(cache, name) {
    const found = await globalThis.caches?.open(cache).then((open) => open.match(address(name)));
    return found ? await found.text() : '';
}

export async function write(cache, name, text) {
    const open = await globalThis.caches.open(cache);
    await open.put(address(name), new Response(text));
}
