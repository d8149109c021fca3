/** What went wrong, for programs to compare: messages may change, these do not. */
export type ErrorCode =
    /** A signal ended it; `cause` is the signal's reason. */
    | 'aborted'
    /** An argument has a wrong type or is out of range. */
    | 'bad_argument'
    /** The file is no model, cut off or damaged. */
    | 'bad_model'
    /** The messages do not fit the context. */
    | 'context_full'
    /** The GPU was lost, for example because the computer slept. Load the model again. */
    | 'device_lost'
    /** The engine was disposed of. */
    | 'disposed'
    /** The GPU refused a command, or computes only NaN. Load the model again. */
    | 'gpu'
    /** The server answers with an error, whose number is `status`. */
    | 'http'
    /** The engine failed: a bug. Load the model again. */
    | 'internal'
    /** The server cannot be reached, stopped sending, or does not permit this page to read the file. */
    | 'network'
    /** The server sends no ranges of files, and the file is larger than 512 MiB; or it hides how large the file is. */
    | 'no_ranges'
    /** The browser has no WebGPU, or no GPU for it. */
    | 'no_webgpu'
    /** The GPU has too little memory. */
    | 'out_of_memory'
    /** A file cannot be read, or was changed. */
    | 'read'
    /** A model of a kind that the engine does not run, or one that needs more than this GPU's limits allow; the message says which. */
    | 'unsupported';

/** Every error of the package. Its message is one sentence and says what to do. */
export class LapidaryError extends Error {
    constructor(code: ErrorCode, message: string, options?: ErrorOptions);
    readonly code: ErrorCode;
    /** The status of the server's answer, if the code is `http`. */
    readonly status?: number;
}

/** The format of weights on the GPU. */
export type WeightFormat = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q5_0' | 'q5_1' | 'q4_0' | 'q4_1' | 'q4_k' | 'q5_k' | 'q6_k';

/**
 * A file of a model: a URL, a file that was chosen or dropped, or a file of the browser's own file system (OPFS). A URL that ends with
 * a slash, before its query if it has one, is a Hugging Face folder. Its query is sent for each file.
 */
export type Source = string | URL | Blob | FileSystemFileHandle;

/** How far a load is: first files that are downloaded as a whole, if there are any, then the weights on their way to the GPU. */
export interface LoadProgress {
    phase: 'download' | 'load';
    /** Bytes. */
    done: number;
    /** Bytes; `null` where a server does not tell. */
    total: number | null;
}

export interface LoadOptions {
    onProgress?: ((progress: LoadProgress) => void) | null;
    /** Ends the load. */
    signal?: AbortSignal | null;
    /** Converts the weights while they load. Default: the file's formats. */
    weights?: WeightFormat;
    /** The most tokens that a prompt and its reply have. Default: as long as the model was trained for, at most 8192. */
    context?: number;
}

export interface Gpu {
    vendor: string;
    architecture: string;
    device: string;
    description: string;
    /** Whether it is a program on the CPU. */
    isFallbackAdapter: boolean;
}

export interface EngineInfo {
    /** The name of the model. */
    model: string;
    /** The most tokens that a prompt and its reply have. */
    context: number;
    /** Whose turns the model was trained on. `chat` writes Gemma's; a model with none is probably a base model, for `generate`. */
    chatTemplate: 'gemma' | 'other' | 'none';
    gpu: Gpu;
}

export interface Message {
    /** System messages come first. Then user and assistant take turns. A last message of the assistant is continued. */
    role: 'system' | 'user' | 'assistant';
    content: string;
}

export interface ReplyOptions {
    /** The most tokens of the reply. Default: as many as the context holds. */
    maxTokens?: number;
    /** 0 always takes the most likely token. Default: 1. */
    temperature?: number;
    /** Chooses from this many of the most likely tokens; 0 for all. Default: 64. */
    topK?: number;
    /** Chooses from the most likely tokens with this probability together. Default: 0.95. */
    topP?: number;
    /** The least probability relative to that of the most likely token. Default: 0. */
    minP?: number;
    /** Above 1, tokens that were there become less likely. Default: 1. */
    repetitionPenalty?: number;
    /** The same seed gives the same reply. Default: a new one each time. */
    seed?: number;
    /** A text, or up to 4, that ends the reply and is no part of it. */
    stop?: string | string[];
    /** Adds the log-probability of each token, and of so many of the most likely tokens in its place, from 0 to 20. */
    logprobs?: number;
    /** Ends the reply: the iterator throws a `LapidaryError` with the code `aborted`. */
    signal?: AbortSignal | null;
}

export interface ScoredToken {
    id: number;
    /** A token that is one byte of a character is shown as that byte, such as `<0xE2>`. */
    text: string;
    /** The natural logarithm of its probability at temperature 1; -9999 where that is 0. */
    logprob: number;
}

export interface TokenLogprob extends ScoredToken {
    /** The most likely tokens in its place, from the most likely on. */
    top: ScoredToken[];
}

/** A part of a reply. */
export interface Piece {
    /** Whole characters; empty only in the last piece. */
    text: string;
    /** The tokens that were generated for it. */
    tokens: number[];
    /** One per token, if they were asked for. */
    logprobs?: TokenLogprob[];
    /** Why the reply is over; only in the last piece. `stop`: the model ended it, or a stop text came. */
    finish?: 'stop' | 'max_tokens' | 'context_full';
    /** Tokens of the prompt and of the reply; only in the last piece. */
    usage?: { promptTokens: number; tokens: number };
}

/**
 * A model in a worker of its own. It answers one request at a time; a further one waits until those before it are over. A request
 * begins with the first piece that is asked for. It is computed on whether or not its pieces are taken, so none keeps others waiting.
 */
export class Engine {
    private constructor();

    /**
     * Loads a model: a `.gguf` file or the files of a Hugging Face folder, from one source or from an array of them. No two files may
     * have the same name: a `Blob` has none, so make `File`s of several.
     *
     * Servers are read by ranges. From one that sends none, files of up to 512 MiB are read as a whole.
     */
    static load(source: Source | Source[], options?: LoadOptions): Promise<Engine>;

    readonly info: EngineInfo;

    /**
     * Replies to messages, in which `<start_of_turn>` and other names of control tokens are plain text. To leave the loop stops the
     * reply within a token.
     */
    chat(messages: Message[], options?: ReplyOptions): AsyncGenerator<Piece, void, void>;

    /**
     * Continues a text, in which `<start_of_turn>` and other names of control tokens are these tokens: do not put what a stranger wrote
     * into it. To leave the loop stops it within a token.
     */
    generate(prompt: string, options?: ReplyOptions): AsyncGenerator<Piece, void, void>;

    /** Frees the model and its worker. Requests that are not over fail with the code `disposed`, and so does every later one. */
    dispose(): void;
}

export interface CheckOptions {
    /** The weight formats in which kernels are checked. Default: all of them. */
    formats?: WeightFormat[];
    /** How often each dispatch runs, which must give the same bits each time. Default: 20. */
    repeats?: number;
    /** Checks each variant of a kernel at few shapes, and of those that differ only in constants the first. Default: false. */
    quick?: boolean;
    /** Whether a GPU that is a program on the CPU gets the kernels for GPUs. Default: false. */
    hardwareKernels?: boolean;
    /** Gets the models of noise that are done, and how many there are. */
    onProgress?: ((progress: { done: number; total: number }) => void) | null;
    signal?: AbortSignal | null;
}

export interface CheckReport {
    /** Whether every result agrees with the reference implementation. */
    ok: boolean;
    /** Dispatches that were compared. */
    dispatches: number;
    /** Variants of kernels that were compared, by name. */
    variants: string[];
    /** The first dispatch that is wrong; nothing after it was run. */
    fault: { kernel: string; variant: string; step: string; dispatch: string; error: string } | null;
    gpu: Gpu;
}

/** Runs the engine's kernels on the browser's GPU, without a model, and compares what they compute with their references. */
export function check(options?: CheckOptions): Promise<CheckReport>;
