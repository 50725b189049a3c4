// What the machine can do: a scale for the numbers that follow.
import KVSieveCore

func machine(_ options: Options) throws {
    title(1, "Machine, one thread")
    let count = options.quick ? 5 : 11
    let bytes = 256 << 20
    let source = try Memory(bytes / 4, seed: 21)
    let target = try Memory(bytes / 4, seed: 22)
    let products = try Products()
    let side = 1024
    let tokens = 32_768
    let dim = 128
    let series = try inTurns(
        count,
        [
            { copy(source.start, to: target.start, bytes) },
            {
                products.multiply(
                    source.floats, rows: side, stride: side, depth: side, source.floats + side * side, columns: side,
                    into: target.floats)
            },
            {
                products.multiply(
                    source.floats, rows: tokens, stride: dim, depth: dim, source.floats + tokens * dim, columns: dim,
                    into: target.floats)
            },
        ])
    note("OpenBLAS uses its kernels for \(products.kernel).")
    var table = Table("work", "unit", "median", "fastest")
    func add(_ work: String, _ unit: String, _ amount: Int, _ series: Series) {
        table.add(
            work, unit, billions(amount, median(series.wall)), billions(amount, series.wall.min() ?? .infinity))
    }
    add("memcpy of 256 MiB, bytes copied", "GB/s", bytes, series[0])
    add("sgemm 1,024 x 1,024 x 1,024", "GFLOP/s", 2 * side * side * side, series[1])
    add("sgemm 128 x 32,768 x 128 (keys by rows of one head)", "GFLOP/s", 2 * dim * dim * tokens, series[2])
    table.show()
}
