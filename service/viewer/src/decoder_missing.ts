/** Stands for decoders of compressions that the store does not write (it writes DEFLATE). */
const message = "this page reads GeoTIFF files compressed by DEFLATE or LZW, or not at all";

export const zstd = {
  init(): Promise<never> {
    return Promise.reject(new Error(message));
  },
};

export default class MissingDecoder {
  constructor() {
    throw new Error(message);
  }
}
