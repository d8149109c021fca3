// The errors of the package.

// An error with a code: index.d.ts lists the codes.
export class LapidaryError extends Error {
    constructor(code, message, options) {
        super(message, options);
        this.name = 'LapidaryError';
        this.code = code;
    }
}

// The reason that anything thrown gives.
export const reason = (error) => error?.message || String(error);
