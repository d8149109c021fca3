// What wgpu 30 leaves out of WebGPU: the feature `subgroups`, and who made the GPU.

// The browser's name and version. Most browsers name others, too.
function browserOf(agent) {
    for (const [name, word] of [['Edge', 'Edg'], ['Firefox', 'Firefox'], ['Chrome', 'Chrome'], ['Safari', 'Version']]) {
        const version = agent.match(new RegExp(`${word}/([\\d.]+)`))?.[1];
        if (version) return `${name} ${version}`;
    }
    return agent;
}

const browser = browserOf(globalThis.navigator?.userAgent ?? '');

// Calls `ask`, in which wgpu asks an adapter for a device. If they are wanted and the adapter has
// them, subgroups are added. Gives whether they are, the names of the adapter, and those of the browser, which holds the compiler of shaders.
export function whileAsking(withSubgroups, ask) {
    const adapters = globalThis.GPUAdapter.prototype;
    const requestDevice = adapters.requestDevice;
    const found = { subgroups: false, name: '', browser };
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

// Whether the browser finds out at each submit what has ended, and otherwise ten times per second. Others find out at once.
export const findsOutAtSubmits = () => browser.startsWith('Firefox ');

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
