// What the browser keeps for the address of the page: bytes, the most bytes, and whether it may not delete them by itself.
export async function storage() {
    const { usage, quota } = await navigator.storage.estimate();
    return [usage, quota, await navigator.storage.persisted()];
}
