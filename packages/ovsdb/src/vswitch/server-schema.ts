import { boolean, database, integer, one, oneOf, optional, string, table, uuid } from "../schema/declare.js";

/** What ovsdb-server tells clients about itself (ovsdb-server(5)): one row for each database that it serves. */
export const ServerSchema = database("_Server", "1.2.0", "3009684573 744", {
  Database: table({
    name: one(string),
    model: one(oneOf("standalone", "clustered", "relay")),
    connected: one(boolean),
    leader: one(boolean),
    schema: optional(string),
    cid: optional(uuid),
    sid: optional(uuid),
    index: optional(integer),
  }),
});
