import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * geotiff.js brings its decoder as a program in a text, which a strict content security policy
 * forbids to run, and decoders in WebAssembly for compressions that the store does not write.
 */
function ownDecoders() {
  const replaced = {
    "./worker/create.js": here("./src/decoder_worker.ts"),
    "./jpeg.js": here("./src/decoder_missing.ts"),
    "./lerc.js": here("./src/decoder_missing.ts"),
    "./zstd.js": here("./src/decoder_missing.ts"),
    "./webimage.js": here("./src/decoder_missing.ts"),
  };
  return {
    name: "own-decoders",
    enforce: "pre",
    resolveId: (source, importer) =>
      importer?.includes("/geotiff/dist-module/") && source in replaced ? replaced[source] : null,
  };
}

export default defineConfig({
  base: "./",
  plugins: [ownDecoders()],
  worker: { format: "es", plugins: () => [ownDecoders()] },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    license: { fileName: "licences.md" },
  },
});
