"""An os-ken app of groups, meters and several tables: a client on port 1 and two equal servers on ports 2 and 3.

Table 0 polices what is marked with DSCP 8, table 1 says by metadata from which side a packet comes, table 2 sends it:
to the first server that is there (fast failover), UDP to both (select), back to the client (indirect).
"""

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.ofproto import ofproto_v1_3

CLIENT, SERVERS = 1, (2, 3)
FROM_CLIENT, FROM_SERVER = 1, 2
FAILOVER, SPREAD, BACK = 1, 2, 3
POLICER = 1


class Replicas(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_features(self, ev):
        dp = ev.msg.datapath
        self.add_meter(dp)
        self.add_groups(dp)
        self.add_flows(dp)
        dp.send_msg(dp.ofproto_parser.OFPBarrierRequest(dp))
        hub.spawn(self.ask, dp)

    def ask(self, dp):
        """Asks for what was configured, then for the counters again and again."""
        ofp, parser = dp.ofproto, dp.ofproto_parser
        dp.send_msg(parser.OFPGroupDescStatsRequest(dp, 0))
        dp.send_msg(parser.OFPMeterConfigStatsRequest(dp, 0, ofp.OFPM_ALL))
        while True:
            dp.send_msg(parser.OFPGroupStatsRequest(dp, 0, ofp.OFPG_ALL))
            dp.send_msg(parser.OFPMeterStatsRequest(dp, 0, ofp.OFPM_ALL))
            dp.send_msg(parser.OFPTableStatsRequest(dp, 0))
            hub.sleep(0.3)

    @staticmethod
    def add_meter(dp):
        ofp, parser = dp.ofproto, dp.ofproto_parser
        bands = [parser.OFPMeterBandDrop(rate=5, burst_size=5)]
        dp.send_msg(parser.OFPMeterMod(
            dp, ofp.OFPMC_ADD, ofp.OFPMF_PKTPS | ofp.OFPMF_BURST | ofp.OFPMF_STATS, POLICER, bands))

    @staticmethod
    def add_groups(dp):
        ofp, parser = dp.ofproto, dp.ofproto_parser

        def add(group_id, group_type, buckets):
            dp.send_msg(parser.OFPGroupMod(dp, ofp.OFPGC_ADD, group_type, group_id, buckets))

        def to(port, **more):
            return parser.OFPBucket(actions=[parser.OFPActionOutput(port)], **more)

        add(FAILOVER, ofp.OFPGT_FF, [to(port, watch_port=port) for port in SERVERS])
        add(SPREAD, ofp.OFPGT_SELECT, [to(port, weight=1) for port in SERVERS])
        add(BACK, ofp.OFPGT_INDIRECT, [to(CLIENT)])

    @staticmethod
    def add_flows(dp):
        ofp, parser = dp.ofproto, dp.ofproto_parser

        def add(table_id, priority, instructions, **match):
            dp.send_msg(parser.OFPFlowMod(
                datapath=dp, table_id=table_id, priority=priority, match=parser.OFPMatch(**match),
                instructions=instructions))

        def goto(table_id):
            return parser.OFPInstructionGotoTable(table_id)

        def group(group_id):
            return [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [parser.OFPActionGroup(group_id)])]

        def side(metadata):
            return [parser.OFPInstructionWriteMetadata(metadata, 0xff), goto(2)]

        add(0, 10, [parser.OFPInstructionMeter(POLICER, ofp.OFPIT_METER), goto(1)], eth_type=0x0800, ip_dscp=8)
        add(0, 0, [goto(1)])
        add(1, 10, side(FROM_CLIENT), in_port=CLIENT)
        for port in SERVERS:
            add(1, 10, side(FROM_SERVER), in_port=port)
        add(2, 20, group(SPREAD), metadata=(FROM_CLIENT, 0xff), eth_type=0x0800, ip_proto=17)
        add(2, 10, group(FAILOVER), metadata=(FROM_CLIENT, 0xff))
        add(2, 10, group(BACK), metadata=(FROM_SERVER, 0xff))

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def configured(self, _ev):
        print("configured", flush=True)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def error(self, ev):
        print("error type %d code %d" % (ev.msg.type, ev.msg.code), flush=True)

    @set_ev_cls(ofp_event.EventOFPGroupDescStatsReply, MAIN_DISPATCHER)
    def group_desc(self, ev):
        for group in ev.msg.body:
            ports = [bucket.actions[0].port for bucket in group.buckets]
            print("group %d is of type %d to %s" % (group.group_id, group.type, ports), flush=True)

    @set_ev_cls(ofp_event.EventOFPMeterConfigStatsReply, MAIN_DISPATCHER)
    def meter_config(self, ev):
        for meter in ev.msg.body:
            bands = ["rate %d burst %d" % (band.rate, band.burst_size) for band in meter.bands]
            print("meter %d is %s" % (meter.meter_id, ", ".join(bands)), flush=True)

    @set_ev_cls(ofp_event.EventOFPGroupStatsReply, MAIN_DISPATCHER)
    def group_stats(self, ev):
        for group in ev.msg.body:
            buckets = " ".join(str(bucket.packet_count) for bucket in group.bucket_stats)
            print("group %d referred to %d times, packets %d, of buckets %s" % (
                group.group_id, group.ref_count, group.packet_count, buckets), flush=True)

    @set_ev_cls(ofp_event.EventOFPMeterStatsReply, MAIN_DISPATCHER)
    def meter_stats(self, ev):
        for meter in ev.msg.body:
            dropped = " ".join(str(band.packet_band_count) for band in meter.band_stats)
            print("meter %d of %d flows, packets %d, dropped %s" % (
                meter.meter_id, meter.flow_count, meter.packet_in_count, dropped), flush=True)

    @set_ev_cls(ofp_event.EventOFPTableStatsReply, MAIN_DISPATCHER)
    def table_stats(self, ev):
        active = [(table.table_id, table.active_count) for table in ev.msg.body if table.active_count > 0]
        print("tables " + " ".join("%d:%d" % each for each in active), flush=True)
