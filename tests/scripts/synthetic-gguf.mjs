// Writes a GGUF of the shape of Gemma-2 2B in f16, 4.87 GiB, whose weights are all zero: a sparse file, which takes no room on most
// disks. It is for measuring what loading needs, and says nothing sensible.
import fs from 'node:fs';

const VOCABULARY = 256_000;
const [HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, HEAD_DIM] = [2304, 9216, 26, 8, 4, 256];
const [F32, F16] = [0, 1];
// Types of metadata.
const [UINT32, INT32, FLOAT32, TEXT, ARRAY] = [4, 5, 6, 8, 9];
const ALIGNMENT = 32;

const number = (bytes, write) => (value) => {
    const buffer = Buffer.alloc(bytes);
    buffer[write](bytes === 8 ? BigInt(value) : value);
    return buffer;
};
const u32 = number(4, 'writeUInt32LE');
const i32 = number(4, 'writeInt32LE');
const u64 = number(8, 'writeBigUInt64LE');
const f32 = number(4, 'writeFloatLE');
const text = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const writers = { [UINT32]: u32, [INT32]: i32, [FLOAT32]: f32, [TEXT]: text };
const entry = (key, type, value) => Buffer.concat([text(key), u32(type), writers[type](value)]);
const list = (key, type, values) => Buffer.concat([text(key), u32(ARRAY), u32(type), u64(values.length), ...values.map(writers[type])]);

export function writeSyntheticGguf(path) {
    const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    const tokens = ['<pad>', '<eos>', '<bos>', '<unk>', '<start_of_turn>', '<end_of_turn>', ...bytes];
    // Control tokens are of type 3, the unknown one is 2, bytes are 6 and all others 1.
    const types = [3, 3, 3, 2, 3, 3, ...bytes.map(() => 6)];
    while (tokens.length < VOCABULARY) {
        types.push(1);
        tokens.push(`word${tokens.length}`);
    }
    const metadata = [
        entry('general.architecture', TEXT, 'gemma2'),
        entry('general.name', TEXT, 'synthetic'),
        entry('gemma2.context_length', UINT32, 8192),
        entry('gemma2.embedding_length', UINT32, HIDDEN),
        entry('gemma2.block_count', UINT32, LAYERS),
        entry('gemma2.feed_forward_length', UINT32, INNER),
        entry('gemma2.attention.head_count', UINT32, HEADS),
        entry('gemma2.attention.head_count_kv', UINT32, KV_HEADS),
        entry('gemma2.attention.key_length', UINT32, HEAD_DIM),
        entry('gemma2.attention.value_length', UINT32, HEAD_DIM),
        entry('gemma2.attention.layer_norm_rms_epsilon', FLOAT32, 1e-6),
        entry('gemma2.attention.sliding_window', UINT32, 4096),
        entry('gemma2.attn_logit_softcapping', FLOAT32, 50),
        entry('gemma2.final_logit_softcapping', FLOAT32, 30),
        entry('tokenizer.ggml.model', TEXT, 'llama'),
        entry('tokenizer.ggml.bos_token_id', UINT32, 2),
        entry('tokenizer.ggml.eos_token_id', UINT32, 1),
        list('tokenizer.ggml.tokens', TEXT, tokens),
        list('tokenizer.ggml.scores', FLOAT32, tokens.map((_, i) => -i)),
        list('tokenizer.ggml.token_type', INT32, types),
    ];

    const [queries, keys] = [HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM];
    const norm = (name) => [`${name}.weight`, F32, [HIDDEN]];
    // A row is an output, and the format names the length of a row first.
    const matrix = (name, rows, columns) => [`${name}.weight`, F16, [columns, rows]];
    const layer = (_, i) =>
        [
            norm('attn_norm'), matrix('attn_q', queries, HIDDEN), matrix('attn_k', keys, HIDDEN), matrix('attn_v', keys, HIDDEN),
            matrix('attn_output', HIDDEN, queries), norm('post_attention_norm'), norm('ffn_norm'), matrix('ffn_gate', INNER, HIDDEN),
            matrix('ffn_up', INNER, HIDDEN), matrix('ffn_down', HIDDEN, INNER), norm('post_ffw_norm'),
        ].map(([name, ...rest]) => [`blk.${i}.${name}`, ...rest]);
    const tensors = [matrix('token_embd', VOCABULARY, HIDDEN), ...Array.from({ length: LAYERS }, layer).flat(), norm('output_norm')];

    const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    let data = 0;
    const infos = tensors.map(([name, type, sides]) => {
        const info = Buffer.concat([text(name), u32(sides.length), ...sides.map(u64), u32(type), u64(data)]);
        data += aligned(sides.reduce((a, b) => a * b) * (type === F16 ? 2 : 4));
        return info;
    });
    const header = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length), ...metadata, ...infos]);
    fs.writeFileSync(path, header);
    fs.truncateSync(path, aligned(header.length) + data);
}
