/** How a version did over the last minutes, from the figures of each second. */

export interface Point {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly rate: number;
  readonly p50: number | null;
  readonly p95: number | null;
}

export type Series = readonly Point[];

export const SERIES_POINTS_MAX = 300;

/** A point that is not later than the last one is passed over: the stream may say it again after a break. */
export function appended(series: Series, point: Point): Series {
  const last = series.at(-1);
  if (last && point.at <= last.at) return series;
  return [...series.slice(1 - SERIES_POINTS_MAX), point];
}
