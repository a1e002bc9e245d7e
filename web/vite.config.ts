import react from '@vitejs/plugin-react';
import { defineConfig, loadEnv } from 'vite';

export default defineConfig(({ mode }) => ({
  plugins: [react()],
  build: {
    outDir: '../src/twinloop/server/static',
    emptyOutDir: true,
    // ECharts and React Flow load only on the pages that draw; each is one chunk well over Vite's 500 kB default.
    chunkSizeWarningLimit: 700,
  },
  // `npm run dev` proxies to a running `twinloop up`; the host is rewritten because the server refuses foreign ones.
  server: { host: '127.0.0.1', proxy: { '/api': { target: server(mode), changeOrigin: true } } },
}));

function server(mode: string): string {
  return loadEnv(mode, '.', 'TWINLOOP_')['TWINLOOP_URL'] ?? 'http://127.0.0.1:7700';
}
