// Verbs on a table, each one loop. They write into the table and return it.
import CSupport

public enum Pool: Sendable { case mean, max }

extension HeadTable {
    /// The columns of the candidates alone; sinks and recent rows are cut off, so that nothing of them is pooled in.
    public func candidates(_ frame: Frame) -> HeadTable { with(.candidates(frame)) }

    /// One number a head that budgets(_:into:) can rank heads by: what distancesFromMean() made.
    public func marked(by marks: ReadOnlyBuffer<Float>) -> HeadTable {
        with(marks: marks)
    }

    /// Every number divided by `count`.
    public func divided(by count: Int) -> HeadTable { scaled(by: 1 / Float(count)) }

    /// The lowest become the highest.
    public func negated() -> HeadTable { scaled(by: -1) }

    private func scaled(by factor: Float) -> HeadTable {
        if factor == 1 { return self }
        for row in 0..<rows {
            let numbers = self.row(row)
            guard let start = numbers.baseAddress else { continue }
            for j in 0..<numbers.count { start[j] *= factor }
        }
        return self
    }

    /// Multiplied with another table's numbers in the same rows and columns.
    public func times(_ other: HeadTable) -> HeadTable {
        for row in 0..<rows {
            let (numbers, factors) = (self.row(row), other.row(row))
            guard let start = numbers.baseAddress, let factor = factors.baseAddress else { continue }
            for j in 0..<min(numbers.count, factors.count) { start[j] *= factor[j] }
        }
        return self
    }

    /// Each row divided by its largest number, 1 at most then; a row without a number above 0 is not changed. Numbers are
    /// divided, not multiplied by an inverse, which overflows for numbers near the smallest float.
    public func overMaximum() -> HeadTable {
        for row in 0..<rows {
            let numbers = self.row(row)
            guard let start = numbers.baseAddress else { continue }
            var highest: Float = 0
            for j in 0..<numbers.count { highest = max(highest, start[j]) }
            if highest == 0 { continue }
            for j in 0..<numbers.count { start[j] /= highest }
        }
        return self
    }

    /// One-dimensional pooling, stride 1: the mean counts zeros beyond both ends and divides by the kernel there too.
    /// - Parameter kernel: odd; 1 changes nothing.
    public func pooled(_ pool: Pool, kernel: Int) throws(KVSieveError) -> HeadTable {
        if kernel == 1 { return self }
        for worker in work.workers { try worker.pooledNumbers.reserve(PoolRows.scratch(kernel)) }
        try work.forEach(rows, PoolRows(table: self, pool: pool, kernel: Int64(kernel)))
        return self
    }

    /// The mean over the rows: one row, which ranks all heads. Rows are added in order. If other ranks have heads of the layer,
    /// the rows stay as they are, and finish() makes the mean.
    public func meanOfRows() -> HeadTable {
        if work.splitsHeads { return with(awaitsMean: true) }
        let count = longest
        let table = sharedByHeads()
        guard rows > 1, let out = table.start(0) else { return table }
        for other in 1..<rows {
            guard let numbers = start(other) else { continue }
            for j in 0..<count { out[j] += numbers[j] }
        }
        let factor = Float(rows)
        for j in 0..<count { out[j] /= factor }
        return table
    }

    /// How far each row lies from the mean of all rows (L2): one number a row, the workspace's until it is asked for again. If other
    /// ranks have heads of the layer, these are the rows themselves, and finish() makes the distances.
    public func distancesFromMean() throws(KVSieveError) -> ReadOnlyBuffer<Float> {
        work.splitsHeads ? ReadOnlyBuffer(start(0), rows * memory.stride) : try distancesOfRows()
    }

    /// distancesFromMean() of all rows of the layer.
    func distancesOfRows() throws(KVSieveError) -> ReadOnlyBuffer<Float> {
        let squares = try work.distanceSquares.reserve(rows)
        let distances = try work.distances.reserve(rows)
        squares.update(repeating: 0, count: rows)
        guard let start = start(0) else { return ReadOnlyBuffer() }
        for j in 0..<longest {
            var sum = 0.0
            for row in 0..<rows { sum += Double(start[row * memory.stride + j]) }
            let mean = sum / Double(rows)
            for row in 0..<rows {
                let difference = Double(start[row * memory.stride + j]) - mean
                squares[row] += difference * difference
            }
        }
        for row in 0..<rows { distances[row] = Float(squares[row].squareRoot()) }
        return ReadOnlyBuffer(distances, rows)
    }
}

/// A row at a time.
private struct PoolRows: ParallelWork {
    let table: HeadTable
    let pool: Pool
    let kernel: Int64

    static func scratch(_ kernel: Int) -> Int { SUPPORT_POOL_BLOCK + kernel }

    func work(on row: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let scratch = try worker.pooledNumbers.reserve(Self.scratch(Int(kernel)))
        guard let numbers = table.start(row) else { return }
        let count = Int64(table.width(row))
        switch pool {
        case .mean: kernels.pool_mean(numbers, count, kernel, scratch)
        case .max: kernels.pool_max(numbers, count, kernel, scratch)
        }
    }
}
