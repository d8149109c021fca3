// Compiles files of HLSL with D3DCompile, as wgpu does, for check-fxc.sh. The first line of each is a comment with its entry point.
#define COBJMACROS
#include <windows.h>
#include <d3dcompiler.h>
#include <stdio.h>

static char text[1 << 20];

int main(int count, char **files) {
    int refused = 0;
    LARGE_INTEGER frequency, start, end;
    QueryPerformanceFrequency(&frequency);
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(files[i], "rb");
        char entry[64];
        if (!file) {
            printf("FAIL %s: it cannot be opened\n", files[i]);
            refused++;
            continue;
        }
        size_t bytes = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[bytes] = 0;
        if (bytes == sizeof text - 1 || sscanf(text, "//%63s", entry) != 1) {
            printf("FAIL %s: it is too long, or names no entry point\n", files[i]);
            refused++;
            continue;
        }
        ID3DBlob *code = NULL, *messages = NULL;
        QueryPerformanceCounter(&start);
        HRESULT result = D3DCompile(text, bytes, files[i], NULL, NULL, entry, "cs_5_1", D3DCOMPILE_ENABLE_STRICTNESS, 0, &code, &messages);
        QueryPerformanceCounter(&end);
        double seconds = (double)(end.QuadPart - start.QuadPart) / frequency.QuadPart;
        if (FAILED(result)) {
            printf("FAIL %s %.1f s\n%s\n", files[i], seconds, messages ? (char *)ID3D10Blob_GetBufferPointer(messages) : "");
            refused++;
        } else {
            printf("ok %s %.1f s\n", files[i], seconds);
        }
        fflush(stdout);
        if (code) ID3D10Blob_Release(code);
        if (messages) ID3D10Blob_Release(messages);
    }
    return refused != 0;
}
