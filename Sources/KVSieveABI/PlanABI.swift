// Header section Plan. What each function promises: kvsieve.h.in.
import CKVSieve
import CSupport
import KVSieveCore
import KVSieveMethods

@_cdecl("kvsieve_plan_create")
public func kvsieve_plan_create(
    _ method: Int32, _ model: UnsafePointer<kvsieve_model>?,
    _ out: UnsafeMutablePointer<UnsafeMutablePointer<kvsieve_plan>?>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let out = try required(out, "out")
        let type = try Registry.method(method)
        let shape = try decode(model)
        guard rehearse(method) else {
            throw KVSieveError(.memory, "out of memory: no room for the first plan of a method")
        }
        try withRoom(needOfPlan(layers: shape.layers, heads: shape.heads)) { () throws(KVSieveError) in
            out.pointee = try open(Plan(type, shape, Shared.plan))
        }
    }
}

@_cdecl("kvsieve_plan_set")
public func kvsieve_plan_set(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ parameter: Int32, _ value: Double
) -> kvsieve_status {
    boundary(plan) { (own) throws(KVSieveError) in
        try own.set(parameter, value)
        renewNeed(plan, own)
    }
}

@_cdecl("kvsieve_plan_get")
public func kvsieve_plan_get(
    _ plan: UnsafePointer<kvsieve_plan>?, _ parameter: Int32, _ value: UnsafeMutablePointer<Double>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try required(value, "value").pointee = try plan.get(parameter)
    }
}

@_cdecl("kvsieve_plan_needs")
public func kvsieve_plan_needs(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ needs: UnsafeMutablePointer<Int32>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try required(needs, "needs").pointee = try plan.needs(layer: Int(layer)).rawValue
    }
}

@_cdecl("kvsieve_plan_bound")
public func kvsieve_plan_bound(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ tokens: Int64, _ rows: UnsafeMutablePointer<Int64>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try required(rows, "rows").pointee = try Int64(plan.bound(layer: Int(layer), tokens: Int(tokens)))
    }
}

@_cdecl("kvsieve_plan_protect")
public func kvsieve_plan_protect(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ first: Int64, _ count: Int64
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in try plan.protect(first: Int(first), count: Int(count)) }
}

@_cdecl("kvsieve_plan_join")
public func kvsieve_plan_join(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ group: UnsafePointer<kvsieve_group>?
) -> kvsieve_status {
    boundary(plan) { (own) throws(KVSieveError) in
        let group = try decode(group, of: own.shape, plan)
        try withRoom(needOfPlan(layers: group.layers, heads: group.heads)) { () throws(KVSieveError) in
            try own.join(group)
            renewNeed(plan, own)
        }
    }
}

@_cdecl("kvsieve_plan_observe")
public func kvsieve_plan_observe(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ queries: UnsafePointer<kvsieve_tensor>?,
    _ keys: UnsafePointer<kvsieve_tensor>?, _ values: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try plan.observe(layer: Int(layer)) { (needs) throws(KVSieveError) in
            try LayerTensors(
                queries: needs.contains(.queries) ? decode(queries, "queries") : nil,
                keys: needs.contains(.keys) ? decode(keys, "keys") : nil,
                values: needs.contains(.values) ? decode(values, "values") : nil,
                shape: needs.contains(.length) ? decodeShape(keys, "keys") : nil)
        }
    }
}

@_cdecl("kvsieve_plan_queries")
public func kvsieve_plan_queries(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ queries: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try plan.queries(layer: Int(layer)) { () throws(KVSieveError) in try decodeRequired(queries, "queries") }
    }
}

@_cdecl("kvsieve_plan_observe_attention")
public func kvsieve_plan_observe_attention(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ kind: Int32,
    _ attention: UnsafePointer<kvsieve_tensor>?, _ values: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try plan.observe(layer: Int(layer)) { (needs) throws(KVSieveError) in
            try decode(kind, attention, values, plan.shape, layer: layer, needs)
        }
    }
}

@_cdecl("kvsieve_plan_finish")
public func kvsieve_plan_finish(_ plan: UnsafeMutablePointer<kvsieve_plan>?) -> kvsieve_status {
    let mode = hostMode()
    return boundary(plan) { (own) throws(KVSieveError) in
        plan?.pointee.host_mode = mode
        try own.finish()
    }
}

@_cdecl("kvsieve_plan_extend")
public func kvsieve_plan_extend(_ plan: UnsafeMutablePointer<kvsieve_plan>?, _ tokens: Int64) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in try plan.extend(Int(tokens)) }
}

@_cdecl("kvsieve_plan_reset")
public func kvsieve_plan_reset(_ plan: UnsafeMutablePointer<kvsieve_plan>?) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in plan.reset() }
}

@_cdecl("kvsieve_plan_destroy")
public func kvsieve_plan_destroy(_ plan: UnsafeMutablePointer<kvsieve_plan>?) { close(plan) }
