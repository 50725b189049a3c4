// Header section Result. What each function promises: kvsieve.h.in.
import CKVSieve
import KVSieveCore

@_cdecl("kvsieve_plan_kept")
public func kvsieve_plan_kept(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ kept: UnsafeMutablePointer<kvsieve_kept>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let plan = try borrow(plan)
        try fill(kept, "kept", smallest: MemoryLayout<kvsieve_kept>.offset(of: \.tokens) ?? 0) {
            (size) throws(KVSieveError) in
            let selection = try plan.kept(layer: Int(layer))
            return kvsieve_kept(
                struct_size: size, heads: Int32(truncatingIfNeeded: selection.heads), total: Int64(selection.total),
                longest: Int64(selection.longest), offsets: selection.offsets, positions: selection.positions,
                tokens: Int64(selection.frame.length.seen), rows: selection.rows)
        }
    }
}

@_cdecl("kvsieve_plan_gather")
public func kvsieve_plan_gather(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ source: UnsafePointer<kvsieve_tensor>?,
    _ target: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        try borrow(plan).gather(
            layer: Int(layer), source: decodeRequired(source, "source", moved: true),
            target: decodeRequired(target, "target", moved: true))
    }
}
