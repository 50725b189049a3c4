// Header section Result. What each function promises: kvsieve.h.in.
import CKVSieve
import KVSieveCore

@_cdecl("kvsieve_plan_kept")
public func kvsieve_plan_kept(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ kept: UnsafeMutablePointer<kvsieve_kept>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
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

@_cdecl("kvsieve_plan_report")
public func kvsieve_plan_report(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ report: UnsafeMutablePointer<kvsieve_report>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try fill(report, "report", smallest: MemoryLayout<kvsieve_report>.size) { (size) throws(KVSieveError) in
            let found = try plan.report(layer: Int(layer))
            return kvsieve_report(
                struct_size: size, heads: Int32(truncatingIfNeeded: plan.shape.heads), kept: Int64(found.kept),
                dropped: Int64(found.dropped), mass_mean: found.meanMass, mass_least: found.leastMass,
                mass: found.mass, intact: Int64(found.intact))
        }
    }
}

@_cdecl("kvsieve_plan_gather")
public func kvsieve_plan_gather(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ source: UnsafePointer<kvsieve_tensor>?,
    _ target: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try plan.gather(
            layer: Int(layer), source: decodeRequired(source, "source", moved: true),
            target: decodeRequired(target, "target", moved: true))
    }
}

@_cdecl("kvsieve_plan_gather_rotated")
public func kvsieve_plan_gather_rotated(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ source: UnsafePointer<kvsieve_tensor>?,
    _ target: UnsafePointer<kvsieve_tensor>?, _ rope: UnsafePointer<kvsieve_rope>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        let source = try decodeRequired(source, "source")
        try plan.gather(
            layer: Int(layer), source: source, target: decodeRequired(target, "target"),
            decode(rope, dim: source.dim))
    }
}

@_cdecl("kvsieve_plan_ranges")
public func kvsieve_plan_ranges(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ head: Int32, _ dropped: Int32,
    _ ranges: UnsafeMutablePointer<kvsieve_ranges>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try fill(ranges, "ranges", smallest: MemoryLayout<kvsieve_ranges>.size) { (size) throws(KVSieveError) in
            guard dropped == 0 || dropped == 1 else {
                throw KVSieveError(.parameter, "dropped is \(dropped); expected 0 (kept) or 1 (dropped)")
            }
            let bounds = try plan.ranges(layer: Int(layer), head: Int(head), dropped: dropped == 1)
            return kvsieve_ranges(
                struct_size: size, count: Int32(truncatingIfNeeded: bounds.count / 2), bounds: bounds.baseAddress)
        }
    }
}
