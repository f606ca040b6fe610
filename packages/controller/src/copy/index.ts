/** The controller's own copies of its switches' tables: kept from what is sent and what switches answer, and checked
 *  against what the switches themselves list. One switch's (`SwitchCopy`), and all that somebody asks for
 *  (`TableCopies`). */
export { FlowMonitor, type FlowUpdate } from "./flow-monitor.js";
export { type CopyState, SwitchCopy } from "./switch-copy.js";
export { TableCopies, type TableCopiesOptions } from "./table-copies.js";
