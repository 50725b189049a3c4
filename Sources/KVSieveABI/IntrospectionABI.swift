// Header section Introspection: the registry, for bindings and tools. What each function promises: kvsieve.h.in.
import CKVSieve
import KVSieveCore
import KVSieveMethods
import KVSieveSelfCheck

@_cdecl("kvsieve_method_count")
public func kvsieve_method_count() -> Int32 {
    withGlobals { Int32(truncatingIfNeeded: Registry.rows.count) }
}

@_cdecl("kvsieve_method_at")
public func kvsieve_method_at(_ index: Int32, _ info: UnsafeMutablePointer<kvsieve_method_info>?) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        try fill(info, "info", smallest: MemoryLayout<kvsieve_method_info>.offset(of: \.choose) ?? 0) {
            (size) throws(KVSieveError) in
            guard Registry.rows.indices.contains(Int(index)) else {
                throw KVSieveError(.method, "index is \(index); expected 0 ... \(Registry.rows.count - 1)")
            }
            let row = Registry.rows[Int(index)]
            return kvsieve_method_info(
                struct_size: size, id: row.id, name: row.name.cString, summary: row.summary.cString,
                paper: row.paper.cString, parameters: Int32(truncatingIfNeeded: row.parameters.count),
                decodes: row.decodes ? 1 : 0, choose: row.choose.cString)
        }
    }
}

@_cdecl("kvsieve_parameter_at")
public func kvsieve_parameter_at(
    _ method: Int32, _ index: Int32, _ info: UnsafeMutablePointer<kvsieve_parameter_info>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        try fill(info, "info", smallest: MemoryLayout<kvsieve_parameter_info>.size) { (size) throws(KVSieveError) in
            let row = try Registry.method(method).row
            guard row.parameters.indices.contains(Int(index)) else {
                throw KVSieveError(.parameter, "index is \(index); expected 0 ... \(row.parameters.count - 1)")
            }
            let parameter = row.parameters[Int(index)]
            return kvsieve_parameter_info(
                struct_size: size, id: parameter.id, name: parameter.name.cString, summary: parameter.summary.cString,
                initial: parameter.initial, lowest: parameter.lowest, highest: parameter.highest,
                integral: parameter.kind.rawValue, reserved: 0)
        }
    }
}

@_cdecl("kvsieve_self_check")
public func kvsieve_self_check() -> kvsieve_status {
    boundary(need: needOfGlobals) { () throws(KVSieveError) in
        guard rehearseSelfCheck() else {
            throw KVSieveError(.memory, "out of memory: no room for the first self-check")
        }
        try SelfCheck.run()
    }
}
