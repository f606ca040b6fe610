// Command lines of the OVSDB tools, which must print and exit alike whichever tool runs them on whichever server. A
// line is split at spaces that are not in quotes or JSON; "~" before it: the order of what it prints is nobody's promise.
// Left out are those where we differ on purpose (a table that is not there is an error to us), and a conversion that a
// row forbids, which ends ovsdb-server 3.1.

/** `ovs-vsctl --no-wait …`: from an empty database and back to one. */
export const VSCTL_LINES = `
init
~ show
add-br br0
add-br br0
--may-exist add-br br0
add-br vlan9 br0 9
--may-exist add-br vlan9 br0 9
--may-exist add-br vlan9 br0 10
--may-exist add-br vlan9
--may-exist add-br br0 br0 9
add-br x
add-br x br0
add-br x nope 1
add-br x br0 4096
add-br x br0 -1
add-br y vlan9 1
br-exists br0
br-exists vlan9
br-exists nope
br-to-vlan br0
br-to-vlan vlan9
br-to-vlan nope
br-to-parent vlan9
br-to-parent br0
list-br
--real list-br
--fake list-br
add-port br0 p0
add-port br0 p0
add-port nope p1
add-port br0 br0
--may-exist add-port br0 p0
--may-exist add-port vlan9 p0
add-port vlan9 pv
get port pv tag
add-port br0 p1 tag=5
add-port br0 p2 tag=5000
add-port br0 p2 tag=5 trunks=1,2 vlan_mode=access other-config:a=b
add-port br0 p3 -- set interface p3 type=internal options:a=b
add-port br0 p4 nope=1
add-port br0 p4 tag
add-bond br0 bond0 e1 e2
add-bond br0 bond0 e1 e2
--may-exist add-bond br0 bond0 e2 e1
--may-exist add-bond br0 bond0 e1 e3
--fake-iface add-bond br0 bond1 f1 f2 lacp=active bond_mode=balance-slb
add-bond br0 bond2 g1
add-bond br0 bond2 p0 g2
add-bond-iface bond0 e3
--may-exist add-bond-iface bond0 e3
add-bond-iface bond0 e3
add-bond-iface nope e4
del-bond-iface bond0 e3
del-bond-iface bond0 e3
--if-exists del-bond-iface bond0 e3
del-bond-iface bond0 p0
del-bond-iface e1
del-bond-iface e2
list-ports br0
list-ports vlan9
list-ports nope
list-ifaces br0
list-ifaces vlan9
port-to-br p0
port-to-br pv
port-to-br br0
port-to-br nope
port-to-br e2
iface-to-br e2
iface-to-br br0
iface-to-br nope
br-set-external-id br0 k v
br-set-external-id br0 k2 v2
br-get-external-id br0
br-get-external-id br0 k
br-get-external-id br0 nope
br-set-external-id br0 k
br-get-external-id br0
br-set-external-id vlan9 a b
br-get-external-id vlan9
br-get-external-id vlan9 a
get-controller br0
set-controller br0 tcp:1.2.3.4 ssl:5.6.7.8:99
get-controller br0
--inactivity-probe=100 set-controller br0 tcp:9.9.9.9
get controller br0 inactivity_probe
set-controller br0 zzz
set-controller br0
get-controller vlan9
get-controller nope
del-controller br0
get-controller br0
get-fail-mode br0
set-fail-mode br0 secure
get-fail-mode br0
set-fail-mode br0 bad
set-fail-mode nope secure
del-fail-mode br0
get-fail-mode br0
get-manager
set-manager ptcp:6640 ssl:1.2.3.4
get-manager
del-manager
get-ssl
set-ssl a b c
get-ssl
--bootstrap set-ssl a b c
get-ssl
del-ssl
get-ssl
~ list bridge
list bridge br0
list br br0
list b br0
list nope
list bridge nope
--if-exists list bridge nope
~ --columns=name list bridge
--columns=name,fail_mode list bridge br0
--columns=name,nope list bridge br0
--columns=_uuid,name,_version list bridge br0
--columns=name,na list bridge br0
--columns=flow list bridge br0
-f table --columns=name,tag,trunks,other_config list port p2
-f csv --columns=name,tag,trunks,other_config list port p2
-f html --columns=name,tag,trunks,other_config list port p2
-f json --columns=name,tag,trunks,other_config list port p2
--format=json --pretty --columns=name,tag list port p2
-f list --no-heading --columns=name,tag,trunks,other_config list port p2
-f table --no-headings --columns=name,tag,trunks,other_config list port p2
--bare --columns=name,tag,trunks,other_config list port p2
-d bare --columns=name,tag,trunks,other_config list port p2
-d json --columns=name,tag,trunks,other_config list port p2
-f table -d json --columns=name,tag,trunks,other_config list port p2
-f csv -d bare --columns=name,trunks,other_config list port p2
~ -f table --columns=name,tag find port tag=5
--columns=name find port tag!=5 name=p0
~ --columns=name find port tag=[]
--columns=name find port tag!=[] name=p1
--columns=name find port trunks=1,2
--columns=name find port trunks{>=}1
--columns=name find port trunks{<=}1,2,3 trunks!=[]
--columns=name find port trunks{in}1,2,3 name=p2
--columns=name find port trunks{not-in}1 name=p0
--columns=name find port other_config:a=b
--columns=name find port other-config:a!=b
--columns=name find port other-config:nope=b
--columns=name find port other-config:nope!=b
--columns=name find port other_config={a=b}
--columns=name find port other_config{>=}a=b
--columns=name find port other_config{=}a=b
~ --columns=name find port tag>4
~ --columns=name find port tag<4
--columns=name find interface name=e1
find interface name=nope
find interface name
find interface name~a
find nope a=b
get bridge br0 name
get bridge br0 name fail_mode _uuid
get bridge br0
get bridge br0 nope
get bridge br0 na
get bridge nope name
--if-exists get bridge nope name
get port p2 other_config:a
get port p2 other_config:nope
--if-exists get port p2 other_config:nope
get port p2 name:a
get port p2 other_config:a=b
get port p2 trunks
get port p2 other_config
get interface p3 options type
--id=@x get bridge br0
--id=x get bridge br0
--id=@x get bridge br0 name -- --id=@x get port p0 name
get open_vswitch . next_cfg
get Open_vSwitch . cur_cfg ovs_version
~ get o . bridges
set bridge br0 fail_mode=secure other_config:a=b other_config:c=d
get bridge br0 fail_mode other_config
set bridge br0 other_config={x=y}
get bridge br0 other_config
set bridge br0 other_config:"q r"="s t"
get bridge br0 other_config
set bridge br0 other_config:x="a,b=c"
get bridge br0 other_config
set bridge br0 flood_vlans=1-5
get bridge br0 flood_vlans
set bridge br0 flood_vlans=5-1
set bridge br0 flood_vlans=1,1
set bridge br0 flood_vlans=4097
set bridge br0 flood_vlans=[]
set bridge br0 name=brx
set bridge br0 fail_mode=wrong
set bridge br0 fail_mode
set bridge br0 fail_mode=
set bridge br0 nope=1
set bridge nope fail_mode=secure
--if-exists set bridge nope fail_mode=secure
set bridge br0 stp_enable=yes
set bridge br0 stp_enable=maybe
get bridge br0 stp_enable
set bridge br0 mcast_snooping_enable=on rstp_enable=1
set interface p0 ingress_policing_rate=abc
set interface p0 ingress_policing_rate=-1
set interface p0 mtu_request=9000
get interface p0 mtu_request
set interface p0 mac="00:11:22:33:44:55"
set interface p0 mac=00:11:22:33:44:55
get interface p0 mac
set interface p0 external_ids:iface-id=a:b:c
get interface p0 external_ids
get interface p0 external_ids:iface-id
add bridge br0 flood_vlans 1 2 3
get bridge br0 flood_vlans
add bridge br0 flood_vlans 2
add bridge br0 fail_mode standalone
add bridge br0 other_config k=v
add bridge br0 other_config k=v2 l=m
get bridge br0 other_config
add bridge br0 nope 1
add bridge br0 other_config k
add bridge br0 flood_vlans
add bridge br0 protocols OpenFlow10,OpenFlow13
get bridge br0 protocols
add bridge br0 protocols OpenFlow99
remove bridge br0 flood_vlans 1 99
get bridge br0 flood_vlans
remove bridge br0 other_config k
remove bridge br0 other_config l=wrong
remove bridge br0 other_config l=m
get bridge br0 other_config
remove bridge br0 name br0
remove bridge br0 nope x
clear bridge br0 flood_vlans
clear bridge br0 flood_vlans other_config fail_mode
clear bridge br0 name
clear bridge br0 datapath_id nope
clear bridge br0
--if-exists clear bridge nope other_config
--id=@m create mirror name=m
-- --id=@m create mirror name=m -- set bridge br0 mirrors=@m
-- --id=@m create mirror name=m2 -- add bridge br0 mirrors @m
-- --id=@m create mirror name=m3 -- --id=@m create mirror name=m4
-- set bridge br0 mirrors=@nope
-- --id=m create mirror name=m3
create mirror
create nope a=b
create mirror nope=b
create qos type=linux-htb
create bridge name=foo
list mirror m
clear bridge br0 mirrors
destroy mirror m
--if-exists destroy mirror m
destroy mirror
--all destroy mirror
--all destroy mirror m
destroy bridge nope
-- --id=@q create qos type=x queues:0=@q0 queues:1=@q1 -- --id=@q0 create queue other_config:max-rate=1 -- --id=@q1 create queue -- set port p0 qos=@q
~ -f table --columns=type list qos
get qos p0 type
~ --columns=dscp,other_config list queue
clear port p0 qos
--all destroy qos -- --all destroy queue
~ list queue
wait-until bridge br0 name=br0
comment hello world
--oneline list-br -- list-ports br0
--oneline get bridge br0 name fail_mode
--oneline -- set bridge br0 fail_mode=secure -- list-br
--dry-run add-br brdry
list-br
--dry-run del-br br0
list-br -- list-ports br0
del-br br0 -- list-br
add-br br0 -- list-ports br0
nope
add-br
add-br a b c d
--nope list-br
--if-exists add-br z
--if-exists=1 del-br z
list-br extra
set
get-aa-mapping br0
add-aa-mapping br0 10 20
get-aa-mapping br0
del-aa-mapping br0 10 20
list-zone-tp netdev
list-dp-cap netdev
-- --id=@d create datapath datapath_version=x capabilities:a=b capabilities:c=d -- set o . datapaths:netdev=@d
list-dp-cap netdev
list-zone-tp netdev
add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2
list-zone-tp netdev
add-zone-tp netdev zone=1 icmp_first=1
--may-exist add-zone-tp netdev zone=1 icmp_first=5
list-zone-tp netdev
add-zone-tp netdev zone=2
add-zone-tp netdev zone=3 nope=1
add-zone-tp nope zone=1 icmp_first=1
list-zone-tp nope
del-zone-tp netdev zone=1
del-zone-tp netdev zone=1
--if-exists del-zone-tp netdev zone=1
list-zone-tp netdev
clear o . datapaths
emer-reset
~ show
del-port br0
del-port nope p0
--if-exists del-port nope
add-port br0 pp -- del-port pp
add-port br0 pp
del-port br0 pp
add-br brb -- add-port br0 pq
del-port brb pq
del-port brb
--with-iface del-port pq
add-bond br0 bb i1 i2
--with-iface del-port i1
list-ports br0
del-br nope
--if-exists del-br nope
del-br br0
del-br brb
del-br x
list-br
~ list interface
~ list port
`;

/** `ovsdb-client …`: SRV is the server, T a database of TOOLS_SCHEMA, T2 and T3 files of other versions of it. */
export const CLIENT_LINES = `
~ list-dbs SRV
~ get-schema SRV T
get-schema SRV nope
get-schema-version SRV T
get-schema-version SRV
get-schema-cksum SRV
get-schema-cksum SRV T
~ list-tables SRV T
~ list-tables SRV
~ list-tables SRV nope
~ -f csv list-tables SRV T
~ -f json list-tables SRV T
~ --pretty -f json list-tables SRV T
--pretty get-schema SRV T
~ -f html list-tables SRV T
~ -f list list-tables SRV T
~ --no-headings list-tables SRV T
~ --bare list-tables SRV T
~ list-columns SRV T
~ list-columns SRV T A
~ -f csv list-columns SRV T B
~ -f json list-columns SRV T B
~ -f list list-columns SRV T B
~ -d json list-columns SRV T B
~ -d bare list-columns SRV T B
transact SRV ["T",{"op":"insert","table":"A","row":{"name":"a1","i":7,"r":1.25,"b":true,"s":"abc","e":"x","ie":["set",[3,1]],"si":["set",[3,1]],"s1":["set",[9,8]],"ss":["set",["b"q","a,b","c d"]],"sr":["set",[1,0.5,2.5]],"m":["map",[["k","v"],["a","b c"]]]}}]
transact SRV ["T",{"op":"insert","table":"A","row":{"name":"A2","i":-3,"m":["map",[["<k>","&v"]]]}}]
transact SRV ["T",{"op":"insert","table":"A","row":{"name":"a10","i":10,"m":["map",[]]}}]
transact SRV ["T",{"op":"insert","table":"A","row":{"name":"b","ss":"e\n\t"}}]
transact SRV ["T",{"op":"select","table":"A","where":[["i","==",7]],"columns":["i","m"]}]
--pretty transact SRV ["T",{"op":"select","table":"A","where":[["i","==",7]],"columns":["i","m"]}]
transact SRV ["T",{"op":"zz"}]
transact SRV ["nope",{"op":"zz"}]
transact SRV []
transact SRV {}
transact SRV [1]
transact SRV xx
transact SRV ["T"
transact SRV ["T"] extra
query SRV ["T",{"op":"select","table":"A","where":[["i","==",7]],"columns":["i","m"]}]
query SRV ["T",{"op":"insert","table":"W","row":{}}]
query SRV ["T",{"op":"select","table":"W","where":[]}]
query SRV ["T"]
dump SRV T
dump SRV T A
dump SRV T A name i
dump SRV T A i name
dump SRV T A nope
dump SRV T nope
dump SRV nope
dump SRV
-f csv dump SRV T A
-f json dump SRV T A
-f html dump SRV T A name m ss
-f list dump SRV T A name m ss
-f list dump SRV T A
-d bare dump SRV T A name m ss sr
-d json dump SRV T A name m ss sr
-d bare -f csv dump SRV T A name m ss sr
--bare dump SRV T A name m
--no-headings dump SRV T A name m
--no-headings -f list dump SRV T A name m
--no-headings -f csv dump SRV T A name m
--no-headings -f html dump SRV T A name m
--no-headings -f json dump SRV T A name m
-f csv dump SRV T
-f html dump SRV T
-f list dump SRV T
-f json dump SRV T
needs-conversion SRV T.schema
needs-conversion SRV OVS_SCHEMA
needs-conversion SRV T2.schema
needs-conversion SRV NOPE
convert SRV T2.schema
dump SRV T A name
get-schema-version SRV T
convert SRV nope
convert SRV T.schema
wait SRV T connected
wait SRV T added
transact SRV ["T",{"op":"delete","table":"A","where":[]},{"op":"delete","table":"W","where":[]}]
nope SRV
~ list-dbs unix:/nope
~ list-dbs tcp:127.0.0.1:1
~ list-dbs SRV extra
`;

/** `ovsdb-tool …`: DB, DB2, … are files that are not there yet, T, T2 and T3 schemas. */
export const TOOL_LINES = `
create DB T.schema
create DB T.schema
create DB2 nope
create DB2 DB
create OVS
db-name DB
db-version DB
db-cksum DB
db-cksum OVS
db-version OVS
db-name nope
db-name T.schema
schema-name T.schema
schema-version T.schema
schema-cksum T.schema
schema-cksum
schema-name
schema-version
schema-name nope
db-is-standalone DB
db-is-clustered DB
db-is-clustered nope
transact DB ["T",{"op":"insert","table":"A","row":{"name":"a1","i":7,"m":["map",[["k","v"]]],"ss":["set",["x","y"]]}},{"op":"comment","comment":"first"}]
transact DB ["T",{"op":"mutate","table":"A","where":[],"mutations":[["m","insert",["map",[["q","r"]]]],["i","+=",1],["ss","delete","x"]]}]
transact DB ["T",{"op":"insert","table":"B","row":{"n":1},"uuid-name":"b"},{"op":"update","table":"A","where":[],"row":{"ob":["named-uuid","b"]}}]
transact DB ["T",{"op":"update","table":"A","where":[],"row":{"ob":["set",[]],"e":"x"}}]
transact DB ["T",{"op":"update","table":"A","where":[],"row":{"name":"renamed"}}]
transact DB ["T",{"op":"update","table":"A","where":[],"row":{"eph":5}}]
transact DB ["T",{"op":"delete","table":"A","where":[]}]
transact DB xx
query DB ["T",{"op":"select","table":"A","where":[]}]
query nope ["T"]
~ show-log DB
~ -m show-log DB
~ -mm show-log DB
~ -m -m show-log DB
~ --more show-log DB
~ -mmm show-log DB
~ show-log nope
~ show-log T.schema
needs-conversion DB T.schema
needs-conversion DB T2.schema
needs-conversion nope T2.schema
compact DB
~ -mm show-log DB
compact DB DB3
compact nope
convert DB T2.schema DB4
convert DB T2.schema
~ -m show-log DB
db-version DB
convert DB T3.schema
convert DB nope
db-cid DB
db-sid DB
db-local-address DB
compare-versions 1.2.3 < 1.2.4
compare-versions 1.2.3 > 1.2.4
compare-versions 1.2.3 == 1.2.3
compare-versions 1.2.3 = 1.2.3
compare-versions 1.2 == 1.2.3
compare-versions 1.2.3 != 1.2.10
compare-versions 1.2.9 < 1.2.10
compare-versions 1.2.9 <= 1.2.10
compare-versions a < b
nope
db-name DB extra
`;

/** The types and constraints that Open_vSwitch lacks. */
export const TOOLS_SCHEMA = {
  name: "T",
  version: "1.2.3",
  tables: {
    A: {
      columns: {
        name: { type: "string" },
        imm: { type: "string", mutable: false },
        eph: { type: "integer", ephemeral: true },
        i: { type: { key: { type: "integer", minInteger: -5, maxInteger: 100 } } },
        r: { type: { key: { type: "real", minReal: -1.5, maxReal: 1e10 } } },
        b: { type: "boolean" },
        s: { type: { key: { type: "string", minLength: 0, maxLength: 5 } } },
        e: { type: { key: { type: "string", enum: ["set", ["x", "y", "zz"]] }, min: 0, max: 1 } },
        ie: { type: { key: { type: "integer", enum: ["set", [1, 2, 3]] }, min: 0, max: "unlimited" } },
        si: { type: { key: "integer", min: 0, max: 3 } },
        s1: { type: { key: "integer", min: 1, max: "unlimited" } },
        ss: { type: { key: "string", min: 0, max: "unlimited" } },
        sr: { type: { key: "real", min: 0, max: "unlimited" } },
        m: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        ob: { type: { key: { type: "uuid", refTable: "B" }, min: 0, max: 1 } },
        wb: { type: { key: { type: "uuid", refTable: "B", refType: "weak" }, min: 0, max: "unlimited" } },
        u: { type: "uuid" },
      },
      isRoot: true,
      indexes: [["name"]],
    },
    B: {
      columns: {
        n: { type: "integer" },
        next: { type: { key: { type: "uuid", refTable: "B" }, min: 0, max: 1 } },
        mb: { type: { key: "string", value: { type: "uuid", refTable: "B" }, min: 0, max: "unlimited" } },
      },
    },
    One: { columns: { n: { type: "integer" } }, isRoot: true, maxRows: 1 },
    W: { columns: { n: { type: "integer" } }, isRoot: true },
  },
};
