// check-dawn.mjs PACKAGE: runs the package for web developers in Node on Dawn, which is Chromium's WebGPU, and compares the kernels
// with their references. check-dawn.sh gives Dawn a Vulkan driver that has subgroups, which Chromium's own software driver has only
// of four lanes.
import fs from 'node:fs';
import path from 'node:path';
import { create, globals } from 'webgpu';

const folder = process.argv[2];

function expect(condition, what) {
    if (!condition) throw new Error(`not so: ${what}`);
}

// What the engine looks for in a browser's worker.
Object.assign(globalThis, globals);
globalThis.WorkerGlobalScope = class {};
const navigator = { gpu: create(['backend=vulkan']), userAgent: 'Dawn in Node' };
Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
globalThis.postMessage = () => {};
// A browser's caches, with a single file.
const kept = new Map();
globalThis.caches = {
    open: async () => ({
        match: async (address) => kept.has(address) ? new Response(kept.get(address)) : undefined,
        put: async (address, response) => void kept.set(address, await response.text()),
    }),
};

const { default: init, start, check, load } = await import(path.join(folder, 'lapidary.js'));
await init({ module_or_path: fs.readFileSync(path.join(folder, 'lapidary_bg.wasm')) });
start();
const report = JSON.parse(await check(JSON.stringify({ formats: ['q4_0', 'q4_k', 'bf16'], quick: true, repeats: 2, hardwareKernels: true })));
expect(report.ok, `every kernel is right: ${JSON.stringify(report.fault)}`);
const with_subgroups = report.variants.filter((name) => name.split('.').includes('subgroups'));
expect(with_subgroups.length > 10, `kernels with subgroups run: ${report.variants.join(' ')}`);
console.log(`${report.dispatches} dispatches agree with their references, of ${report.variants.length} kernels, ${with_subgroups.length} with subgroups`);

// The guide is loaded twice. The second time nothing is measured.
const model = path.join(folder, 'example', 'guide');
const files = ['config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json', 'model.safetensors'].map((name) => {
    const bytes = fs.readFileSync(path.join(model, name));
    return { name, size: bytes.length, read: async (from, to) => new Uint8Array(bytes.subarray(from, to)) };
});
const seconds = [];
for (let i = 0; i < 2; i++) {
    const started = Date.now();
    (await load('', files, JSON.stringify({ weights: 'q4_0' }))).free();
    seconds.push((Date.now() - started) / 1000);
}
const results = [...kept.values()].join('').trimEnd().split('\n');
expect(results.some((line) => line.includes('q4_0')), `the result of tuning is kept: ${results}`);
console.log(`the guide is loaded in ${seconds[0]} s, and with the results of tuning in ${seconds[1]} s:\n${results.join('\n')}`);
process.exit(0);
