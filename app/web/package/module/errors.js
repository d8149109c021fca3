// The errors of the package.

// An error with a code: index.d.ts lists the codes.
export class LapidaryError extends Error {
    constructor(code, message, options) {
        super(message, options);
        this.name = 'LapidaryError';
        this.code = code;
    }
}

// An address as errors show it: without what follows its path, which may be a secret.
export const shown = (url) => String(url).split(/[?#]/, 1)[0];

// The reason that anything thrown gives.
export const reason = (error) => error?.message || String(error);
