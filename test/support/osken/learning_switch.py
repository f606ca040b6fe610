"""A learning switch on os-ken: OpenFlow 1.3, one flow per known destination, port changes logged."""

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_3


class LearningSwitch(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tables = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_features(self, ev):
        dp = ev.msg.datapath
        print("switch %016x connected, %d tables" % (dp.id, ev.msg.n_tables), flush=True)
        to_controller = [dp.ofproto_parser.OFPActionOutput(
            dp.ofproto.OFPP_CONTROLLER, dp.ofproto.OFPCML_NO_BUFFER)]
        self.add_flow(dp, 0, dp.ofproto_parser.OFPMatch(), to_controller)
        dp.send_msg(dp.ofproto_parser.OFPBarrierRequest(dp))

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def barrier_reply(self, ev):
        print("barrier reply", flush=True)

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_status(self, ev):
        msg = ev.msg
        ofp = msg.datapath.ofproto
        reason = {ofp.OFPPR_ADD: "add", ofp.OFPPR_DELETE: "delete", ofp.OFPPR_MODIFY: "modify"}[msg.reason]
        link = "down" if msg.desc.state & ofp.OFPPS_LINK_DOWN else "up"
        print("port %s %s link %s" % (reason, msg.desc.name.decode(), link), flush=True)
        if reason == "delete":
            self.forget_port(msg.datapath, msg.desc.port_no)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def error(self, ev):
        print("error type %d code %d" % (ev.msg.type, ev.msg.code), flush=True)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, ev):
        msg = ev.msg
        dp = msg.datapath
        parser = dp.ofproto_parser
        in_port = msg.match["in_port"]
        frame = packet.Packet(msg.data).get_protocol(ethernet.ethernet)
        table = self.tables.setdefault(dp.id, {})
        table[frame.src] = in_port
        out_port = table.get(frame.dst, dp.ofproto.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out_port)]
        if out_port != dp.ofproto.OFPP_FLOOD:
            match = parser.OFPMatch(in_port=in_port, eth_dst=frame.dst, eth_src=frame.src)
            self.add_flow(dp, 1, match, actions)
        dp.send_msg(parser.OFPPacketOut(
            datapath=dp, buffer_id=msg.buffer_id, in_port=in_port, actions=actions,
            data=msg.data if msg.buffer_id == dp.ofproto.OFP_NO_BUFFER else None))

    def forget_port(self, dp, port_no):
        """What was learned at a port that is gone is learned anew."""
        macs = self.tables.get(dp.id, {})
        self.tables[dp.id] = {mac: port for mac, port in macs.items() if port != port_no}
        dp.send_msg(dp.ofproto_parser.OFPFlowMod(
            datapath=dp, command=dp.ofproto.OFPFC_DELETE, out_port=port_no, out_group=dp.ofproto.OFPG_ANY,
            match=dp.ofproto_parser.OFPMatch()))

    @staticmethod
    def add_flow(dp, priority, match, actions):
        parser = dp.ofproto_parser
        apply = [parser.OFPInstructionActions(dp.ofproto.OFPIT_APPLY_ACTIONS, actions)]
        dp.send_msg(parser.OFPFlowMod(datapath=dp, priority=priority, match=match, instructions=apply))
