

def collatz(number):
    """Counts the steps until a number reaches one."""
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


if __name__ == "__main__":
    for start in range(1, 30):
        print(f"{start}: {collatz(start)}")

