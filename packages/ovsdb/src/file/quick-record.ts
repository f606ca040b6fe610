import { defaultCols, Row, type StoredRows } from "../engine/row.js";
import { hasDerived, type Table } from "../engine/table.js";
import { type Atom, ZERO_UUID } from "../schema/atom.js";
import type { Datum } from "../schema/datum.js";
import type { ColumnSchema } from "../schema/schema.js";
import { type BaseType, checkAtom, isConstrained } from "../schema/types.js";

// A large file is mostly new rows, in the compact JSON that every server writes. Read by JSON.parse, each costs a dozen
// objects that live for a moment, of shapes never seen before (a uuid is a member's name). This reader checks a record
// where it lies, and of a row that nothing is derived from makes only its uuid: its columns are read when somebody asks
// for them. It gives up on whatever is not plain: parseJson and replay then say what is wrong, if anything.

type Bytes = Uint8Array & { latin1Slice(start: number, end: number): string };

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const UNDERSCORE = 0x5f;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Digits of an integer that is exact as a number. */
const SAFE_DIGITS = 15;
const MAX_NAMES = 1000;

const byByte = (holds: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0));

/** What may stand in a string as it is: ASCII but control characters, quotes and escapes. */
const IS_PLAIN = byByte((byte) => byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH);
const IS_HEX = byByte((byte) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66));

/** Thrown where the text is not plain. One object: it says nothing. */
const NOT_PLAIN = new Error("not plain");

export class QuickReader {
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #version: string;
  /** Names that come again and again (of tables and columns, and the keys of maps), by their hash. */
  readonly #names = new Map<number, string>();
  #bytes: Bytes = Buffer.alloc(0) as never;
  #at = 0;
  /** The last string or uuid read, without its quotes, and the string's hash; the last integer or boolean. */
  #from = 0;
  #to = 0;
  #hash = 0;
  #number = 0;
  /** By column: the row in which it was last seen. */
  readonly #seenIn: number[] = [];
  #rowCount = 0;
  /** The rows that the record has made so far. */
  readonly #madeIn: Table[] = [];
  readonly #made: string[] = [];

  /** Rows go to `tables`, and get `version`. */
  constructor(tables: ReadonlyMap<string, Table>, version: string) {
    this.#tables = tables;
    this.#version = version;
  }

  /** Takes in a record of new rows. False where it does anything else or is not plain: then nothing has changed.
   *  The bytes must stay as they are: rows are read from there later. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.#bytes = bytes as never;
    this.#at = start;
    this.#made.length = this.#madeIn.length = 0;
    try {
      this.#record();
      if (this.#at === end) return true;
    } catch (error) {
      if (error !== NOT_PLAIN) throw error;
    }
    for (let i = 0; i < this.#made.length; i++) this.#madeIn[i].rows.delete(this.#made[i]);
    return false;
  }

  #record(): void {
    this.#take(OPEN_BRACE);
    do {
      const name = this.#name();
      this.#take(COLON);
      if (name.charCodeAt(0) === UNDERSCORE) this.#meta(name);
      else {
        const table = this.#tables.get(name);
        if (!table) throw NOT_PLAIN;
        this.#rows(table);
      }
    } while (this.#skip(COMMA));
    this.#take(CLOSE_BRACE);
    this.#take(NEWLINE);
  }

  /** A member beside the tables; what it says matters to nobody here. */
  #meta(name: string): void {
    if (name === "_date") this.#integer();
    else if (name === "_comment") this.#string();
    else if (name === "_is_diff") this.#boolean();
    else throw NOT_PLAIN;
  }

  #rows(table: Table): void {
    const stored = hasDerived(table) ? undefined : this.#storedIn(table, this.#bytes);
    this.#take(OPEN_BRACE);
    do {
      this.#uuid();
      const uuid = this.#bytes.latin1Slice(this.#from, this.#to);
      // The record of a row that is there already changes it.
      if (table.rows.has(uuid)) throw NOT_PLAIN;
      this.#take(COLON);
      const at = this.#at;
      const cols = stored ? undefined : defaultCols(table.schema);
      this.#cells(table, cols);
      table.rows.set(uuid, new Row(uuid, this.#version, cols ?? stored!, at));
      this.#madeIn.push(table);
      this.#made.push(uuid);
    } while (this.#skip(COMMA));
    this.#take(CLOSE_BRACE);
  }

  #storedTable: Table | undefined;
  #storedBytes: Bytes | undefined;
  #stored: StoredRows | undefined;

  /** Rows of the table whose text lies in these bytes, found plain before. */
  #storedIn(table: Table, bytes: Bytes): StoredRows {
    if (this.#stored && this.#storedTable === table && this.#storedBytes === bytes) return this.#stored;
    this.#storedTable = table;
    this.#storedBytes = bytes;
    this.#stored = {
      colsAt: (at) => {
        const cols = defaultCols(table.schema);
        this.#bytes = bytes;
        this.#at = at;
        this.#cells(table, cols);
        return cols;
      },
    };
    return this.#stored;
  }

  /** A row's columns, put into `cols` where it is given. */
  #cells({ schema }: Table, cols: Datum[] | undefined): void {
    const row = ++this.#rowCount;
    this.#take(OPEN_BRACE);
    if (this.#skip(CLOSE_BRACE)) return;
    do {
      const column = schema.find(this.#name());
      if (!column || column.index < 0 || this.#seenIn[column.index] === row) throw NOT_PLAIN;
      this.#seenIn[column.index] = row;
      this.#take(COLON);
      if (cols) cols[column.index] = this.#datum(column);
      else this.#elements(column, undefined, undefined);
    } while (this.#skip(COMMA));
    this.#take(CLOSE_BRACE);
  }

  #datum(column: ColumnSchema): Datum {
    const keys: Atom[] = [];
    const values: Atom[] | undefined = column.type.value && [];
    this.#elements(column, keys, values);
    // Of the right length: an array that grew keeps room for more, in each row.
    return { keys: keys.slice(), values: values ? values.slice() : null };
  }

  /** A column's value, put into `keys` and `values` where they are given. */
  #elements({ type }: ColumnSchema, keys: Atom[] | undefined, values: Atom[] | undefined): void {
    const { key, value, min, max } = type;
    let count = 0;
    if (value) this.#word('["map",[');
    else if (!this.#skipWord('["set",[')) {
      this.#atom(key);
      keys?.push(this.#value(key, false));
      // A set of one that may have more, or none.
      return;
    }
    let from = 0;
    let to = 0;
    let number = 0;
    if (!this.#skip(CLOSE_BRACKET)) {
      do {
        if (value) this.#take(OPEN_BRACKET);
        this.#atom(key);
        if (count++ > 0 && !this.#isAfter(key, from, to, number)) throw NOT_PLAIN;
        from = this.#from;
        to = this.#to;
        number = this.#number;
        keys?.push(this.#value(key, value !== undefined));
        if (value) {
          this.#take(COMMA);
          this.#atom(value);
          values?.push(this.#value(value, false));
          this.#take(CLOSE_BRACKET);
        }
      } while (this.#skip(COMMA));
      this.#take(CLOSE_BRACKET);
    }
    this.#take(CLOSE_BRACKET);
    if (count < min || count > max) throw NOT_PLAIN;
  }

  /** Is the atom just read behind the one before, in the order of compareAtoms? */
  #isAfter({ type }: BaseType, from: number, to: number, number: number): boolean {
    if (type === "integer" || type === "boolean") return this.#number > number;
    const bytes = this.#bytes;
    const length = Math.min(to - from, this.#to - this.#from);
    for (let i = 0; i < length; i++) {
      const difference = bytes[this.#from + i] - bytes[from + i];
      if (difference !== 0) return difference > 0;
    }
    return this.#to - this.#from > to - from;
  }

  /** Reads one; it may be had by #value until the next is read. */
  #atom(base: BaseType): void {
    switch (base.type) {
      case "string":
        this.#string();
        break;
      case "integer":
        this.#integer();
        break;
      case "boolean":
        this.#boolean();
        break;
      case "uuid":
        this.#word('["uuid",');
        this.#uuid();
        this.#take(CLOSE_BRACKET);
        break;
      default:
        throw NOT_PLAIN;
    }
    if (isConstrained(base)) checkAtom(base, this.#value(base, false));
  }

  /** `isName`: it comes again and again. */
  #value({ type }: BaseType, isName: boolean): Atom {
    if (type === "integer") return this.#number;
    if (type === "boolean") return this.#number === 1;
    if (this.#from === this.#to) return "";
    return isName && type === "string" ? this.#interned() : this.#bytes.latin1Slice(this.#from, this.#to);
  }

  #name(): string {
    this.#string();
    return this.#interned();
  }

  /** The string just read, the same object as when it came before. */
  #interned(): string {
    const known = this.#names.get(this.#hash);
    if (known !== undefined && this.#isText(known)) return known;
    const text = this.#bytes.latin1Slice(this.#from, this.#to);
    if (known === undefined && this.#names.size < MAX_NAMES) this.#names.set(this.#hash, text);
    return text;
  }

  #isText(text: string): boolean {
    const length = this.#to - this.#from;
    if (text.length !== length) return false;
    for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== this.#bytes[this.#from + i]) return false;
    return true;
  }

  #string(): void {
    const bytes = this.#bytes;
    if (bytes[this.#at] !== QUOTE) throw NOT_PLAIN;
    let at = this.#at + 1;
    let hash = 0;
    this.#from = at;
    for (let byte = bytes[at]; IS_PLAIN[byte] === 1; byte = bytes[++at])
      hash = (Math.imul(hash, 31) + byte) & 0x3fffffff;
    if (bytes[at] !== QUOTE) throw NOT_PLAIN;
    this.#to = at;
    this.#hash = hash;
    this.#at = at + 1;
  }

  /** In lower case, with its dashes, in quotes. */
  #uuid(): void {
    const bytes = this.#bytes;
    this.#take(QUOTE);
    this.#from = this.#at;
    for (let i = 0; i < ZERO_UUID.length; i++) {
      const byte = bytes[this.#at++];
      if (ZERO_UUID.charCodeAt(i) === MINUS ? byte !== MINUS : IS_HEX[byte] !== 1) throw NOT_PLAIN;
    }
    this.#to = this.#at;
    this.#take(QUOTE);
  }

  #integer(): void {
    const bytes = this.#bytes;
    const isNegative = this.#skip(MINUS);
    const start = this.#at;
    let value = 0;
    let byte = bytes[this.#at];
    while (byte >= 0x30 && byte <= 0x39) {
      value = 10 * value + (byte - 0x30);
      byte = bytes[++this.#at];
    }
    const count = this.#at - start;
    const isWhole = byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE;
    if (count === 0 || count > SAFE_DIGITS || !isWhole) throw NOT_PLAIN;
    this.#number = isNegative ? 0 - value : value;
  }

  #boolean(): void {
    if (this.#skipWord("true")) this.#number = 1;
    else {
      this.#word("false");
      this.#number = 0;
    }
  }

  #word(word: string): void {
    if (!this.#skipWord(word)) throw NOT_PLAIN;
  }

  #skipWord(word: string): boolean {
    for (let i = 0; i < word.length; i++) if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) return false;
    this.#at += word.length;
    return true;
  }

  #take(byte: number): void {
    if (this.#bytes[this.#at++] !== byte) throw NOT_PLAIN;
  }

  #skip(byte: number): boolean {
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }
}
