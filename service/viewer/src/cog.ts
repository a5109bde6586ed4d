/** Values out of cloud-optimised GeoTIFF files, read by HTTP range: single cells, and ranges of values. */
import { fromUrl, type GeoTIFF, type GeoTIFFImage } from "geotiff";

/** How stored integers become values: value = stored * scale + offset. */
export interface Scaling {
  scale: number;
  offset: number;
}

/** One cell: its values by band (null where there are none) and its outline in the file's system. */
export interface Cell {
  values: (number | null)[];
  column: number;
  row: number;
  outline: number[][];
}

const OVERVIEW_CELLS = 512;
const opened = new Map<string, Promise<Cog>>();

/** A GeoTIFF file of the store; its scale and offset are those written in the file itself. */
export class Cog {
  private coarsest: Promise<ArrayLike<number>[]> | null = null;

  private constructor(
    private readonly file: GeoTIFF,
    private readonly image: GeoTIFFImage,
    private readonly scalings: Scaling[],
  ) {}

  /** Open a file; one that is open already is used again. */
  static open(url: string): Promise<Cog> {
    let found = opened.get(url);
    if (found === undefined) {
      found = Cog.read(url);
      opened.set(url, found);
      found.catch(() => opened.delete(url));
    }
    return found;
  }

  private static async read(url: string): Promise<Cog> {
    const file = await fromUrl(url);
    const image = await file.getImage(0);
    const scalings: Scaling[] = [];
    // One after the other: the library answers "none" while it is still fetching the tags for another.
    for (let band = 0; band < image.getSamplesPerPixel(); band++) {
      const tags = await image.getGDALMetadata(band);
      scalings.push({ scale: Number(tags?.SCALE ?? 1), offset: Number(tags?.OFFSET ?? 0) });
    }
    return new Cog(file, image, scalings);
  }

  get nodata(): number | null {
    return this.image.getGDALNoData();
  }

  /** Reference system by the file's own keys, such as EPSG:3035. */
  get crs(): string {
    const keys = this.image.getGeoKeys();
    const code = keys?.ProjectedCSTypeGeoKey ?? keys?.GeographicTypeGeoKey;
    if (typeof code !== "number") throw new Error("the file does not say its coordinate reference system");
    return `EPSG:${code}`;
  }

  /** West, south, east, north of the grid, in the file's system. */
  get bounds(): number[] {
    return this.image.getBoundingBox();
  }

  /** Scale and offset of a band, counted from 0; 1 and 0 where the file gives none. */
  scaling(band: number): Scaling {
    return this.scalings[band];
  }

  /** The cell at a place given in the file's system; null outside the file. */
  async cell(x: number, y: number): Promise<Cell | null> {
    const [left, top] = this.image.getOrigin();
    const [width, height] = this.image.getResolution();
    const [column, row] = [Math.floor((x - left) / width), Math.floor((y - top) / height)];
    if (column < 0 || row < 0 || column >= this.image.getWidth() || row >= this.image.getHeight()) return null;
    const rasters = await this.image.readRasters({ window: [column, row, column + 1, row + 1] });
    const stored = Array.from(rasters as unknown as ArrayLike<number>[], (band) => band[0]);
    const values = stored.map((value, band) => this.valueOf(value, band));
    const [x0, y0] = [left + column * width, top + row * height];
    const outline = [[x0, y0], [x0 + width, y0], [x0 + width, y0 + height], [x0, y0 + height], [x0, y0]];
    return { values, column, row, outline };
  }

  /** Values below which ``low`` and ``high`` of the valid cells of a coarse view lie; null without any. */
  async quantiles(band: number, low: number, high: number): Promise<[number, number] | null> {
    this.coarsest ??= this.readCoarsest();
    const cells = (await this.coarsest)[band];
    const valid = Float64Array.from(Array.from(cells).filter((value) => value !== this.nodata)).sort();
    if (valid.length === 0) return null;
    const { scale, offset } = this.scaling(band);
    const at = (share: number) => valid[Math.round(share * (valid.length - 1))] * scale + offset;
    return [at(low), at(high)];
  }

  private valueOf(stored: number, band: number): number | null {
    if (stored === this.nodata || Number.isNaN(stored)) return null;
    const { scale, offset } = this.scaling(band);
    return stored * scale + offset;
  }

  private async readCoarsest(): Promise<ArrayLike<number>[]> {
    let image = this.image;
    const count = await this.file.getImageCount();
    for (let index = 1; index < count && image.getWidth() > OVERVIEW_CELLS; index++) {
      const next = await this.file.getImage(index);
      if (next.getWidth() < image.getWidth()) image = next;
    }
    return (await image.readRasters()) as unknown as ArrayLike<number>[];
  }
}
