// Header section Result.
import CKVSieve
import KVSieveCore

/// What one layer keeps: after observe() of the layer what may still shrink, after finish() final.
///
/// Section: Result 1
/// - Parameters:
///   - plan: from kvsieve_plan_create()
///   - layer: one that was observed
///   - kept: struct_size set by the caller; filled on success only. Its pointers are the plan's, valid until the next
///     observe, finish, extend, reset or destroy
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_SHAPE for a layer out of range; KVSIEVE_ERR_STATE before its
///   observe(); KVSIEVE_ERR_PARAMETER for a struct_size below the first published one; KVSIEVE_ERR_MEMORY, as a layer that
///   may still shrink is chosen when it is asked for
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

/// Copies the kept rows of a layer's tensor, byte by byte, whatever they hold; after finish(). (An engine that must let go of
/// a layer's rows before that moves them itself, by kvsieve_kept.positions.)
/// The target may be (1, >= total, D), packed: head after head, no gaps; or (H, >= longest, D): a head a row, rows past a
/// head's count are left as they are. It may begin at the source's data with the source's strides: in place.
///
/// Section: Result 2
/// - Parameters:
///   - plan: from kvsieve_plan_create()
///   - layer: 0 ... layers - 1
///   - source: (H, T, D): keys or values of the layer, or anything else with a row a token; (H, n, D) as observed after
///     extend()
///   - target: dim and dtype of the source; no row of it on another or, unless in place, on one of the source
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_STATE before finish(); KVSIEVE_ERR_SHAPE, KVSIEVE_ERR_DTYPE;
///   KVSIEVE_ERR_LAYOUT also for overlap
@_cdecl("kvsieve_plan_gather")
public func kvsieve_plan_gather(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ source: UnsafePointer<kvsieve_tensor>?,
    _ target: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        try borrow(plan).gather(
            layer: Int(layer), source: decodeRequired(source, "source"), target: decodeRequired(target, "target"))
    }
}
