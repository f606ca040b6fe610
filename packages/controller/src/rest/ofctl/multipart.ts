import type { MessageInitOf, MessageOf } from "@sluice/openflow-codec";
import type { Switch } from "../../framework/app.js";

type RequestBody = MessageInitOf<"OFPT_MULTIPART_REQUEST">["body"];
type ReplyBody = MessageOf<"OFPT_MULTIPART_REPLY">["body"];

/** The body that answers a multipart request, its parts joined. */
export async function multipart<const B extends RequestBody & { type: string }>(
  dp: Switch,
  body: B,
): Promise<Extract<ReplyBody, { type: B["type"] }>> {
  const reply = (await dp.request({
    type: "OFPT_MULTIPART_REQUEST",
    body,
  })) as MessageOf<"OFPT_MULTIPART_REPLY">;
  return reply.body as Extract<ReplyBody, { type: B["type"] }>;
}
