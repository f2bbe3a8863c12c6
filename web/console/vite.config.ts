import { defineConfig } from "vite";

// Two scripts and one style sheet with plain names: the node names each asset by its content when it publishes it,
// as it does with all others, so pages of one version and nodes of another fit together. The second script is what
// few visits need. The page says where it lies, so the two share no module: Vite would give that a file of its own.
export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsDir: ".",
    modulePreload: false,
    cssCodeSplit: false,
    reportCompressedSize: true,
    rollupOptions: {
      input: { console: "src/main.tsx", plots: "src/plots.ts" },
      preserveEntrySignatures: "exports-only",
      output: {
        entryFileNames: "[name].js",
        assetFileNames: "console[extname]",
      },
    },
  },
});
