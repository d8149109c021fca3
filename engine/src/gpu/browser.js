// What wgpu 30 leaves out of WebGPU: the feature `subgroups`, and who made the GPU.

// Calls `ask`, in which wgpu asks an adapter for a device. If they are wanted and the adapter has
// them, subgroups are added. Gives whether they are, the names of the adapter, and those of the browser, which holds the compiler of shaders.
export function whileAsking(withSubgroups, ask) {
    const adapters = globalThis.GPUAdapter.prototype;
    const requestDevice = adapters.requestDevice;
    const found = { subgroups: false, name: '', browser: globalThis.navigator?.userAgent ?? '' };
    adapters.requestDevice = function (descriptor) {
        const { vendor, architecture, device, description } = this.info;
        found.name = [vendor, architecture, device, description].filter(Boolean).join(' ');
        found.subgroups = withSubgroups && this.features.has('subgroups');
        const added = found.subgroups ? ['subgroups'] : [];
        return requestDevice.call(this, { ...descriptor, requiredFeatures: [...descriptor.requiredFeatures ?? [], ...added] });
    };
    try {
        ask();
    } finally {
        adapters.requestDevice = requestDevice;
    }
    return found;
}
