import type { Agent } from "../agent.js";
import { bundle } from "./bundle.js";
import type { Request } from "./handler.js";
import { modify } from "./modify.js";
import { monitor } from "./monitor.js";
import { multipart } from "./multipart.js";
import { nicira } from "./nicira.js";
import { session } from "./session.js";

type AnyHandler = (agent: Agent, message: Request, bytes: Uint8Array) => void | Promise<void>;

/** Every message that a switch takes. Each handler gets messages of the type that it stands under. */
export const handlers = { ...session, ...modify, ...multipart, ...nicira, ...bundle, ...monitor } as Readonly<
  Record<string, AnyHandler | undefined>
>;
