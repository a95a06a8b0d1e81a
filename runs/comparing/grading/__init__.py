"""`rl grade`: many run folders, from people who are not known, on the same games (`runs.comparing.grading.grade`)."""
