import { defineConfig } from 'vitest/config';

const gateway = 'http://127.0.0.1:8808';

export default defineConfig({
  base: './',
  build: {
    outDir: '../gateway/static',
    emptyOutDir: true,
    assetsInlineLimit: 0, // fonts inlined into CSS would cost every visitor 100 kB
    chunkSizeWarningLimit: 1200, // MapLibre, loaded on its own
    target: 'es2022',
  },
  server: { proxy: { '/api': gateway, '/ws': { target: gateway, ws: true } } },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
});
