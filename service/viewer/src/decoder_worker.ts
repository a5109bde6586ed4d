/** A worker that unpacks the blocks of GeoTIFF files, loaded from this page's own address. */
export default function create(): Worker {
  return new Worker(new URL("../node_modules/geotiff/dist-module/worker/decoder.js", import.meta.url), {
    type: "module",
    name: "geotiff-decoder",
  });
}
