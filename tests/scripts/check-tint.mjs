// check-tint.mjs FOLDER: compiles every linked kernel of FOLDER (*.wgsl) with Tint, the shader compiler of Chromium, through Dawn's
// null backend: the front end, the analysis of uniform control flow and the validation of pipelines, without a driver. Any message
// of the compiler is an error here. tests/scripts/check-tint.sh installs the npm package `webgpu`, which this imports.
import fs from 'node:fs';
import path from 'node:path';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const folder = process.argv[2];

// Values of the kernels' overrides that pipelines are made with. Tuning chooses among them.
const values = { width: [64, 128, 256], rows_per_workgroup: [8, 32], x_vec4s: [3, 8, 96] };

// A kernel as a browser gets it: naga does not know the line that turns subgroups on, WebGPU requires it.
function kernel(file) {
    const wgsl = fs.readFileSync(path.join(folder, file), 'utf8');
    const subgroups = /\bsubgroup[A-Z]\w*\(|@builtin\((subgroup_\w+|num_subgroups)\)/.test(wgsl);
    const bindings = [...wgsl.matchAll(/@group\(0\)\s*@binding\((\d+)\)\s*var<([^>]+)>/g)].map(([, binding, space]) => {
        const storage = space.includes('read_write') ? 'storage' : 'read-only-storage';
        const type = space.trim() === 'uniform' ? 'uniform' : storage;
        const buffer = { type, hasDynamicOffset: binding === '0' };
        return { binding: Number(binding), visibility: GPUShaderStage.COMPUTE, buffer };
    });
    return {
        file,
        // On the first line, so that line numbers stay.
        code: (subgroups ? 'enable subgroups; ' : '') + wgsl,
        // No browser has them.
        cooperative: /coop_mat/.test(wgsl),
        bindings,
        overrides: [...wgsl.matchAll(/override\s+(\w+)\s*:/g)].map((found) => found[1]),
    };
}

// What Tint and Dawn say about a kernel, one line each.
async function messages(device, { file, code, bindings, overrides }) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code, label: file });
    const { messages } = await module.getCompilationInfo();
    const refused = await device.popErrorScope();
    if (refused || messages.length > 0) {
        const lines = code.split('\n');
        const texts = messages.map((m) => `${file}:${m.lineNum}: ${m.type}: ${m.message}: ${lines[m.lineNum - 1]?.trim()}`);
        return texts.length > 0 ? texts : [`${file}: ${refused.message}`];
    }
    const layout = device.createPipelineLayout({
        bindGroupLayouts: [device.createBindGroupLayout({ entries: bindings })],
    });
    const chosen = overrides.flatMap((name) => (values[name] ?? []).map((value) => ({ [name]: value })));
    const found = [];
    for (const constants of [{}, ...chosen]) {
        try {
            await device.createComputePipelineAsync({ layout, compute: { module, entryPoint: 'main', constants } });
        } catch (error) {
            found.push(`${file} ${JSON.stringify(constants)}: ${error.message}`);
        }
    }
    return found;
}

// In a variable of its own: Dawn ends when this is collected.
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
if (!adapter?.features.has('subgroups')) throw new Error('this Dawn has no adapter with subgroups');
// WebGPU's default limits, as in a browser that asks for nothing more.
const device = await adapter.requestDevice({ requiredFeatures: ['subgroups'] });
const kernels = fs.readdirSync(folder).filter((file) => file.endsWith('.wgsl')).sort().map(kernel);
const tried = kernels.filter((kernel) => !kernel.cooperative);
if (tried.length === 0) throw new Error(`no kernels in ${folder}`);
const found = [];
for (const kernel of tried) found.push(...(await messages(device, kernel)));
found.forEach((text) => console.error(text));
console.log(`Tint: ${tried.length} kernels, ${found.length} messages; ${kernels.length - tried.length} need cooperative matrices`);
// Dawn's own threads keep the process alive.
process.exit(found.length > 0 ? 1 : 0);
