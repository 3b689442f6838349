// Hot path
import { Timestamp } from '../../core/change.ts';
import type { ColumnCodec, NonNull, Refusal } from './columns.ts';

const NOT_DATE: Refusal = { code: 'wrong_type', reason: 'the column takes a date such as 2026-11-21, or a timestamp at midnight UTC' };
const NO_SUCH_DAY: Refusal = { code: 'out_of_range', reason: 'the calendar has no such day (zero dates are not accepted)' };
const TIME_LOST: Refusal = { code: 'loses_precision', reason: 'the column keeps only the day, and the timestamp is not at midnight UTC' };
const DATE_KEY: Refusal = { code: 'key_not_canonical', reason: 'a date key must be text such as 2026-11-21' };

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;

export const dateCodec: ColumnCodec = {
  check(value) {
    if (value instanceof Timestamp) {
      if (!isCalendarYear(value)) return NO_SUCH_DAY;
      return value.nanoseconds === 0 && value.seconds % SECONDS_PER_DAY === 0 ? undefined : TIME_LOST;
    }
    const parts = typeof value === 'string' ? DATE.exec(value) : null;
    if (parts === null) return NOT_DATE;
    return isDay(Number(parts[1]), Number(parts[2]), Number(parts[3])) ? undefined : NO_SUCH_DAY;
  },
  literal: (value) => `'${value instanceof Timestamp ? isoSeconds(value.seconds).slice(0, 10) : (value as string)}'`,
  checkKey: (value) => (typeof value === 'string' ? undefined : DATE_KEY),
  keyText: String,
};

const NOT_DATETIME: Refusal = {
  code: 'wrong_type',
  reason: 'the column takes a timestamp, or text such as 2026-11-21 09:30:00.5 (UTC), or with a zone 2026-11-21T10:30:00+01:00',
};
const NO_SUCH_TIME: Refusal = {
  code: 'out_of_range',
  reason: 'there is no such day or time of day (zero dates and second 60 are not accepted)',
};
const TIMESTAMP_RANGE: Refusal = {
  code: 'out_of_range',
  reason: 'a TIMESTAMP column takes 1970-01-01 00:00:01 to 2038-01-19 03:14:07 UTC',
};

const DATETIME = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/;
const SECONDS_PER_DAY = 86_400;
/** 0001-01-01 00:00:00 and 9999-12-31 23:59:59. */
const FIRST_SECOND = -62_135_596_800;
const LAST_SECOND = 253_402_300_799;
const LAST_TIMESTAMP_SECOND = 2 ** 31 - 1;

/** DATETIME is a wall clock in UTC; text without a zone is written as it is. */
export function datetimeCodec(fractionDigits: number): ColumnCodec {
  return pointCodec(fractionDigits, (seconds) => (seconds >= FIRST_SECOND && seconds <= LAST_SECOND ? undefined : NO_SUCH_TIME));
}

/** TIMESTAMP is a point in time; the session's zone is UTC, so text without a zone is UTC. */
export function timestampCodec(fractionDigits: number): ColumnCodec {
  return pointCodec(fractionDigits, (seconds) => (seconds >= 1 && seconds <= LAST_TIMESTAMP_SECOND ? undefined : TIMESTAMP_RANGE));
}

interface Point {
  readonly seconds: number;
  /** Digits of the fraction without trailing zeros. */
  readonly fraction: string;
}

function pointCodec(fractionDigits: number, checkRange: (seconds: number) => Refusal | undefined): ColumnCodec {
  const loses = fractionRefusal(fractionDigits);
  const example = `2026-11-21 09:30:00${fractionDigits === 0 ? '' : `.${'0'.repeat(fractionDigits)}`}`;
  const spelling: Refusal = { code: 'key_not_canonical', reason: `a key in this column must be text written like ${example}` };
  const canonicalLength = example.length;
  const write = (point: Point) =>
    `${isoSeconds(point.seconds)}${fractionDigits === 0 ? '' : `.${point.fraction.padEnd(fractionDigits, '0')}`}`;
  return {
    check(value) {
      const plain = typeof value === 'string' ? plainSeconds(value) : undefined;
      if (plain !== undefined) return checkRange(plain);
      const point = pointOf(value);
      if (point === 'malformed') return NOT_DATETIME;
      if (point === 'impossible') return NO_SUCH_TIME;
      return point.fraction.length > fractionDigits ? loses : checkRange(point.seconds);
    },
    literal(value) {
      // What has the database's own spelling needs no second parsing.
      if (
        typeof value === 'string' &&
        value.length === canonicalLength &&
        value[10] === ' ' &&
        (value[19] ?? '.') === '.' &&
        !value.endsWith('Z')
      )
        return `'${value}'`;
      return `'${write(pointOf(value) as Point)}'`;
    },
    checkKey: (value) => (value === write(pointOf(value) as Point) ? undefined : spelling),
    keyText: String,
  };
}

/** Seconds since the epoch of `2026-11-21 09:30:00`; undefined for anything else, which {@link pointOf} may understand. */
function plainSeconds(text: string): number | undefined {
  if (text.length !== 19) return undefined;
  const between = text.charCodeAt(10);
  if ((between !== SPACE && between !== LETTER_T) || text.charCodeAt(4) !== DASH || text.charCodeAt(7) !== DASH) return undefined;
  if (text.charCodeAt(13) !== COLON || text.charCodeAt(16) !== COLON) return undefined;
  const year = 100 * digitsAt(text, 0) + digitsAt(text, 2);
  const month = digitsAt(text, 5);
  const day = digitsAt(text, 8);
  const hour = digitsAt(text, 11);
  const minute = digitsAt(text, 14);
  const second = digitsAt(text, 17);
  // NaN is neither larger nor smaller than anything.
  if (!(hour <= 23 && minute <= 59 && second <= 59) || !isDay(year, month, day)) return undefined;
  return daysSinceEpoch(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
}

const SPACE = 0x20;
const LETTER_T = 0x54;
const DASH = 0x2d;
const COLON = 0x3a;
const DIGIT_0 = 0x30;

/** The number that two digits make; NaN when they are none. */
function digitsAt(text: string, at: number): number {
  const tens = text.charCodeAt(at) - DIGIT_0;
  const ones = text.charCodeAt(at + 1) - DIGIT_0;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? 10 * tens + ones : Number.NaN;
}

function pointOf(value: NonNull): Point | 'malformed' | 'impossible' {
  if (value instanceof Timestamp) {
    if (!isCalendarYear(value)) return 'impossible';
    return {
      seconds: value.seconds,
      fraction: value.nanoseconds === 0 ? '' : String(value.nanoseconds).padStart(9, '0').replace(/0+$/, ''),
    };
  }
  const parts = typeof value === 'string' ? DATETIME.exec(value) : null;
  if (parts === null) return 'malformed';
  const [year, month, day, hour, minute, second] = [
    Number(parts[1]),
    Number(parts[2]),
    Number(parts[3]),
    Number(parts[4]),
    Number(parts[5]),
    Number(parts[6]),
  ];
  const offset = offsetSeconds(parts[8]);
  if (!isDay(year, month, day) || hour > 23 || minute > 59 || second > 59 || offset === undefined) return 'impossible';
  return {
    seconds: daysSinceEpoch(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset,
    fraction: (parts[7] ?? '').replace(/0+$/, ''),
  };
}

function offsetSeconds(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (hours > 14 || minutes > 59) return undefined;
  return (zone[0] === '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

const NOT_TIME: Refusal = { code: 'wrong_type', reason: 'the column takes a time such as 09:30:00, or -120:00:00.5' };
const TIME_RANGE: Refusal = { code: 'out_of_range', reason: 'the column takes -838:59:59 to 838:59:59' };
const TIME = /^(-?)(\d{2,3}):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/;

export function timeCodec(fractionDigits: number): ColumnCodec {
  const loses = fractionRefusal(fractionDigits);
  const tail = fractionDigits === 0 ? '' : `.${'0'.repeat(fractionDigits)}`;
  const spelling: Refusal = {
    code: 'key_not_canonical',
    reason: `a key in this column must be written like 09:30:00${tail}, with as many digits`,
  };
  return {
    check(value) {
      const parts = typeof value === 'string' ? TIME.exec(value) : null;
      if (parts === null) return NOT_TIME;
      const [hours, minutes, seconds] = [Number(parts[2]), Number(parts[3]), Number(parts[4])];
      const fraction = (parts[5] ?? '').replace(/0+$/, '');
      if (minutes > 59 || seconds > 59) return NOT_TIME;
      if (hours > 838 || (hours === 838 && minutes === 59 && seconds === 59 && fraction !== '')) return TIME_RANGE;
      return fraction.length > fractionDigits ? loses : undefined;
    },
    literal: (value) => `'${value as string}'`,
    checkKey(value) {
      const [, sign, hours, minutes, seconds, fraction] = TIME.exec(value as string) ?? [];
      const zero = Number(hours) === 0 && Number(minutes) === 0 && Number(seconds) === 0 && Number(fraction ?? 0) === 0;
      const canonical =
        (fraction ?? '').length === fractionDigits && (hours?.length === 2 || hours?.[0] !== '0') && !(sign === '-' && zero);
      return canonical ? undefined : spelling;
    },
    keyText: String,
  };
}

function fractionRefusal(fractionDigits: number): Refusal {
  return { code: 'loses_precision', reason: `the column keeps ${fractionDigits} digits of a second's fraction` };
}

function isCalendarYear({ seconds }: Timestamp): boolean {
  return seconds >= FIRST_SECOND && seconds <= LAST_SECOND;
}

/** `2026-11-21 09:30:00` in UTC. */
function isoSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isDay(year: number, month: number, day: number): boolean {
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1)) return false;
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= (MONTH_DAYS[month - 1] as number) + (leap ? 1 : 0);
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar, without a Date for each row. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}
