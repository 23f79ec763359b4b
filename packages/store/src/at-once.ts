type Transaction = { exec(): Promise<[error: Error | null, result: unknown][] | null> };

/** The answers of a MULTI, or the first error among them. */
export async function atOnce<Answers extends unknown[]>(transaction: Transaction): Promise<Answers> {
  const replies = (await transaction.exec()) ?? [];
  return replies.map(([error, answer]) => {
    if (error) throw error;
    return answer;
  }) as Answers;
}
